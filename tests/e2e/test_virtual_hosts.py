"""Is the bucket found in the name of the host, as SDKs write addresses once an endpoint has a name?"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from harness import ACCESS_KEY_ID, CLIENT, SECRET_ACCESS_KEY, Server
from plain_http import Answer, form, send
from test_javascript_sdk import FOLDER, node

DOMAINS = ("localhost", "s3.localhost")
BUCKET, DOTTED = "hosted", "my.hosted.bucket"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names below `localhost` are this machine, whatever its resolver says."""
    resolve = socket.getaddrinfo

    def resolved(host: object, *rest: object, **more: object) -> list:
        is_ours = isinstance(host, str) and host.endswith("localhost")
        return resolve("127.0.0.1" if is_ours else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    yield


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    for bucket in (BUCKET, DOTTED):
        server.s3.create_bucket(Bucket=bucket)
        server.s3.put_object(Bucket=bucket, Key="día/a b.txt", Body=b"text")
    return server


def port(server: Server) -> int:
    return urlsplit(server.endpoint).port


def hosted(server: Server, domain: str) -> object:
    """A client that names buckets in the host."""
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"}, **CLIENT)
    return server.client("s3", endpoint_url=f"http://{domain}:{port(server)}", config=config)


def at(server: Server, host: str, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    return send(server, method, path, {"Host": f"{host}:{port(server)}", **(headers or {})}, body)


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_operation_finds_its_bucket(stocked: Server, domain: str) -> None:
    s3, made = hosted(stocked, domain), {"Bucket": f"made-{domain.replace('.', '-')}"}
    s3.create_bucket(**made)
    place = {**made, "Key": "a/b c.bin"}
    s3.put_object(**place, Body=b"x" * 100, Tagging="a=b")
    assert s3.get_object(**place, Range="bytes=0-9")["ContentLength"] == 10
    assert s3.head_object(**place)["ContentLength"] == 100
    assert s3.get_object_tagging(**place)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert [item["Key"] for item in s3.list_objects_v2(**made)["Contents"]] == ["a/b c.bin"]
    s3.copy_object(**made, Key="copy", CopySource=place)
    upload = s3.create_multipart_upload(**made, Key="parts")["UploadId"]
    part = s3.upload_part(**made, Key="parts", UploadId=upload, PartNumber=1, Body=b"y" * 10)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = s3.complete_multipart_upload(**made, Key="parts", UploadId=upload, MultipartUpload=parts)
    assert done["Location"] == f"http://{made['Bucket']}.{domain}:{port(stocked)}/parts"
    s3.put_bucket_cors(**made, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})
    keys = [{"Key": key} for key in ("a/b c.bin", "copy", "parts")]
    assert len(s3.delete_objects(**made, Delete={"Objects": keys})["Deleted"]) == 3
    s3.delete_bucket(**made)
    assert made["Bucket"] not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("bucket", [BUCKET, DOTTED])
def test_presigned_address_works_as_signed(stocked: Server, domain: str, bucket: str) -> None:
    url = hosted(stocked, domain).generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "día/a b.txt"})
    parts = urlsplit(url)
    assert parts.hostname == f"{bucket}.{domain}"
    assert at(stocked, parts.hostname, "GET", f"{parts.path}?{parts.query}").body == b"text"
    odd = at(stocked, parts.hostname, "GET", f"{parts.path}?{parts.query}", {"Range": "lines=0-1"})
    assert odd.body == b"text", "a range that is none is ignored"
    other = at(stocked, f"other.{domain}", "GET", f"{parts.path}?{parts.query}")
    assert (other.status, other.code) == (403, "SignatureDoesNotMatch")


def test_dotted_bucket_is_named_whole(stocked: Server) -> None:
    path = "/d%C3%ADa/a%20b.txt"
    request = AWSRequest("GET", f"http://{DOTTED}.localhost:{port(stocked)}{path}")
    S3SigV4Auth(Credentials(*stocked.key_pair), "s3", "us-east-1").add_auth(request)
    assert at(stocked, f"{DOTTED}.localhost", "GET", path, dict(request.prepare().headers)).body == b"text"


def test_form_goes_to_the_bucket_of_its_host(stocked: Server) -> None:
    status = {"success_action_status": "201"}
    made = hosted(stocked, "localhost").generate_presigned_post(BUCKET, "forms/${filename}", Fields=status, Conditions=[status])
    host = urlsplit(made["url"]).hostname
    assert host == f"{BUCKET}.localhost"
    headers, body = form(made["fields"], b"video")
    answer = at(stocked, host, "POST", "/", headers, body)
    assert answer.status == 201, answer
    assert answer.headers["location"] == f"http://{host}:{port(stocked)}/forms/clip.mp4"
    assert stocked.s3.get_object(Bucket=BUCKET, Key="forms/clip.mp4")["Body"].read() == b"video"
    assert at(stocked, host, "POST", f"/{BUCKET}", headers, body).status == 405
    assert at(stocked, f"{DOTTED}.localhost", "POST", "/", headers, body).code == "AccessDenied"


def test_preflight_asks_the_bucket_of_its_host(stocked: Server) -> None:
    rule = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://app.example"]}
    stocked.s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    for path in ("/", "/key", "/metrics", "/_abanico/jobs", f"/{DOTTED}/key"):
        answer = at(stocked, f"{BUCKET}.localhost", "OPTIONS", path, asked)
        assert (answer.status, answer.headers.get("access-control-allow-origin")) == (200, "https://app.example"), path
        assert at(stocked, f"{DOTTED}.localhost", "OPTIONS", path, asked).status == 403


def test_console_and_monitoring_are_not_below_a_bucket(stocked: Server) -> None:
    for path in ("/", "/_abanico/", "/metrics", "/healthz", "/2017-08-29/jobs"):
        answer = at(stocked, f"{BUCKET}.localhost", "GET", path, {"Accept": "text/html"})
        assert (answer.status, answer.code) == (403, "AccessDenied"), path
    assert b"<title>abanico</title>" in at(stocked, "localhost", "GET", "/", {"Accept": "text/html"}).body


def test_path_style_works_under_every_name(stocked: Server) -> None:
    for domain in (*DOMAINS, "127.0.0.1"):
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, **CLIENT)
        s3 = stocked.client("s3", endpoint_url=f"http://{domain}:{port(stocked)}", config=config)
        assert s3.get_object(Bucket=BUCKET, Key="día/a b.txt")["Body"].read() == b"text"


def test_own_domains_and_own_names(fresh_server: Server) -> None:
    fresh_server.config = 'hosts = ["console.media.example"]\n[s3]\nbase_domains = ["media.example"]\n'
    fresh_server.start()
    page = {"Accept": "text/html"}
    assert b"<title>abanico</title>" in at(fresh_server, "console.media.example", "GET", "/", page).body
    assert at(fresh_server, "uploads.media.example", "GET", "/", page).code == "AccessDenied"
    assert b"<title>abanico</title>" in at(fresh_server, "uploads.localhost", "GET", "/", page).body


def test_javascript_sdk_needs_no_path_style(stocked: Server) -> None:
    program = node()
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY, "AWS_REGION": "us-east-1"}
    for domain in DOMAINS:
        where = {"AWS_ENDPOINT_URL": f"http://{domain}:{port(stocked)}"}
        done = subprocess.run(
            [program, "hosts.mjs", BUCKET], cwd=FOLDER, env={**os.environ, **keys, **where}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"host": f"{BUCKET}.{domain}", "text": "from js", "keys": ["js/a b.txt"], "versions": ["null"]}
