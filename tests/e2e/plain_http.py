"""Requests as no SDK makes them: signed by botocore, then changed, and sent as they are."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from harness import Server

SECONDS = 30


@dataclass
class Answer:
    """An answer; of a refusal by S3 also the code."""

    status: int
    headers: dict[str, str]
    body: bytes
    code: str = field(default="")

    def __post_init__(self) -> None:
        if self.status >= 400 and self.body.lstrip().startswith(b"<"):
            self.code = ElementTree.fromstring(self.body).findtext("Code") or ""


def send(server: Server, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """Sends a request to a path or to a whole address of the server."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=SECONDS)
    try:
        connection.request(method, path, body=body or None, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def signed(server: Server, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> dict[str, str]:
    """The headers of a request with its signature."""
    request = AWSRequest(method, server.endpoint + path, headers=headers or {}, data=body)
    S3SigV4Auth(Credentials(*server.key_pair), "s3", "us-east-1").add_auth(request)
    return dict(request.prepare().headers)


def connect(server: Server) -> socket.socket:
    """A connection for bytes that no client library would send."""
    parts = urlsplit(server.endpoint)
    return socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)


def form(fields: dict[str, str], file: bytes, name: str = "clip.mp4", boundary: str = "a-boundary") -> tuple[dict[str, str], bytes]:
    """The headers and the body of a browser's form."""
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: video/mp4\r\n\r\n'.encode()
    body = b"".join([*parts, head, file, f"\r\n--{boundary}--\r\n".encode()])
    return {"Content-Type": f"multipart/form-data; boundary={boundary}"}, body
