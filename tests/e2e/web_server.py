"""A web server on the loopback address, over HTTP or HTTPS, that records every request.

Each path has its own file and behaviour.
"""

from __future__ import annotations

import base64
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

USER, PASSWORD = "ann", "pa55word"


@dataclass
class Page:
    """The answer for one path."""

    body: bytes = b""
    status: int = 200
    location: str = ""
    needs_password: bool = False
    #: The first answer ends after this many bytes.
    cut_at: int | None = None
    #: Sends half of the body and then nothing until the server stops.
    hangs: bool = False


@dataclass
class WebServer:
    """Serves pages with strong entity tags and ranges, and records the requests."""

    pages: dict[str, Page] = field(default_factory=dict)
    #: (path with query, headers) of every request.
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    certificate: Path | None = None

    def __enter__(self) -> WebServer:
        self.released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._http.server_address[1]

    @property
    def host(self) -> str:
        """Address and port, as abanico's configuration lists hosts."""
        return f"127.0.0.1:{self.port}"

    def put(self, path: str, body: bytes = b"", **behaviour: object) -> str:
        """Serves `body` at `path` and returns the URL."""
        self.pages[path] = Page(body, **behaviour)
        return f"{'https' if self.certificate else 'http'}://{self.host}{path}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """Returns the headers of each request for a path, with names in lower case."""
        return [headers for asked, headers in self.requests if asked.split("?")[0] == path]


def _handler(server: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.requests.append((self.path, headers))
            page = server.pages.get(self.path.split("?")[0], Page(status=404))
            key = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if page.needs_password and headers.get("authorization") != f"Basic {key}":
                page = Page(status=401)
            self._answer(page, headers)

        def _answer(self, page: Page, headers: dict[str, str]) -> None:
            begin = int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if begin else page.status)
            self.send_header("Content-Length", str(len(page.body) - begin))
            self.send_header("ETag", f'"{len(page.body)}"')
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(page.body) - 1}/{len(page.body)}")
            if page.location:
                self.send_header("Location", page.location)
            self.end_headers()
            end, page.cut_at = (page.cut_at, None) if page.cut_at is not None else (len(page.body), None)
            if page.hangs:
                self.wfile.write(page.body[: len(page.body) // 2])
                self.wfile.flush()
                server.released.wait(120)
                return
            self.wfile.write(page.body[begin:end])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    return Handler


def certificates(folder: Path) -> tuple[Path, Path]:
    """Makes a new certificate authority and a certificate for 127.0.0.1 that it signs.

    Returns the authority's certificate, and the server's certificate together with its key.
    """
    subject = ["-subj", "/CN=a test's authority", "-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    authority, authority_key = folder / "authority.pem", folder / "authority.key"
    _openssl("req", "-x509", *subject, "-keyout", authority_key, "-out", authority)
    request, key, signed = folder / "server.csr", folder / "server.key", folder / "server.pem"
    _openssl("req", "-new", *subject[4:], "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", request)
    names = folder / "names.cnf"
    names.write_text("subjectAltName = IP:127.0.0.1\nbasicConstraints = CA:FALSE\nextendedKeyUsage = serverAuth\n")
    by = ["-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "2", "-extfile", names]
    _openssl("x509", "-req", "-in", request, *by, "-out", signed)
    both = folder / "both.pem"
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return authority, both


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
