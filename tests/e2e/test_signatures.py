"""Does a signature cover all that a request does, is nothing else let in, and does nothing stored run in a browser?"""

from __future__ import annotations

import json
import re

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from harness import SECRET_ACCESS_KEY, Server, secrets_in
from plain_http import connect, form, send, signed

# Every header of S3's requests that begins with x-amz-, with a value that would do something.
HEADERS = {
    "x-amz-copy-source": "/uploads/private.txt",
    "x-amz-copy-source-range": "bytes=0-3",
    "x-amz-copy-source-if-match": "*",
    "x-amz-metadata-directive": "REPLACE",
    "x-amz-tagging": "a=b",
    "x-amz-tagging-directive": "REPLACE",
    "x-amz-acl": "public-read",
    "x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/global/AllUsers",
    "x-amz-meta-note": "changed",
    "x-amz-storage-class": "GLACIER",
    "x-amz-server-side-encryption": "AES256",
    "x-amz-website-redirect-location": "/elsewhere",
    "x-amz-checksum-crc32": "AAAAAA==",
    "x-amz-sdk-checksum-algorithm": "CRC32",
    "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    "x-amz-date": "20260101T000000Z",
    "x-amz-expected-bucket-owner": "000000000000",
    "x-amz-request-payer": "requester",
    "x-amz-mfa": "1 2",
    "x-amz-bypass-governance-retention": "true",
    "x-amz-security-token": "token",
    "x-amz-trailer": "x-amz-checksum-crc32",
    "x-amz-decoded-content-length": "1",
    "x-amz-unheard-of": "1",
}
V4_ONLY = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    """A server with a private object, one to overwrite, and an upload in parts."""
    server.s3.put_object(Bucket="uploads", Key="private.txt", Body=b"private")
    server.s3.put_object(Bucket="uploads", Key="mine.txt", Body=b"mine")
    return server


def presigned_requests(server: Server) -> dict[str, tuple[str, str]]:
    """Presigned addresses by operation, with their methods."""
    s3 = server.s3
    place = {"Bucket": "uploads", "Key": "mine.txt"}
    upload = s3.create_multipart_upload(**place)["UploadId"]
    part = {**place, "UploadId": upload, "PartNumber": 1}
    return {
        "GetObject": ("GET", s3.generate_presigned_url("get_object", Params=place)),
        "HeadObject": ("HEAD", s3.generate_presigned_url("head_object", Params=place)),
        "PutObject": ("PUT", s3.generate_presigned_url("put_object", Params=place)),
        "UploadPart": ("PUT", s3.generate_presigned_url("upload_part", Params=part)),
        "CreateMultipartUpload": ("POST", s3.generate_presigned_url("create_multipart_upload", Params=place)),
        "DeleteObject": ("DELETE", s3.generate_presigned_url("delete_object", Params={**place, "Key": "none"})),
        "DeleteObjectTagging": ("DELETE", s3.generate_presigned_url("delete_object_tagging", Params=place)),
        "ListBuckets": ("GET", s3.generate_presigned_url("list_buckets")),
    }  # fmt: skip


def test_presigned_url_does_nothing_that_was_not_signed(stocked: Server) -> None:
    for operation, (method, url) in presigned_requests(stocked).items():
        signed_by_boto3 = url.partition("X-Amz-SignedHeaders=")[2].partition("&")[0].split("%3B")
        assert len(set(HEADERS) - set(signed_by_boto3)) > 20
        for name, value in HEADERS.items():
            if name in signed_by_boto3:
                continue
            answer = send(stocked, method, url, {name: value}, b"x" if method == "PUT" else b"")
            assert answer.status == 403, f"{operation} with {name}: {answer}"
            if method != "HEAD":
                assert answer.code == "AccessDenied", f"{operation} with {name}: {answer}"
                assert b"There were headers present in the request which were not signed" in answer.body
                assert name in answer.body.decode().partition("<HeadersNotSigned>")[2].partition("<")[0].split(", ")
    assert stocked.s3.get_object(Bucket="uploads", Key="mine.txt")["Body"].read() == b"mine"


def test_presigned_urls_still_do_what_was_signed(stocked: Server) -> None:
    place = {"Bucket": "uploads", "Key": "signed.txt"}
    wishes = {**place, "Metadata": {"note": "n"}, "ContentType": "text/plain", "StorageClass": "STANDARD"}
    url = stocked.s3.generate_presigned_url("put_object", Params=wishes)
    headers = {"x-amz-meta-note": "n", "content-type": "text/plain", "x-amz-storage-class": "STANDARD"}
    assert send(stocked, "PUT", url, headers, b"text").status == 200
    url = stocked.s3.generate_presigned_url("put_object", Params=place)
    for free in ({"content-type": "text/plain"}, {"content-md5": "HLyeX0jMXkSyd9gDsYU+Fg=="}, {"cache-control": "no-store"}, {}):
        assert send(stocked, "PUT", url, free, b"text").status in (200, 400), free
    copy = stocked.s3.generate_presigned_url("copy_object", Params={**place, "CopySource": "uploads/private.txt"})
    assert send(stocked, "PUT", copy, {"x-amz-copy-source": "uploads/private.txt"}).status == 200
    assert stocked.s3.get_object(**place)["Body"].read() == b"private"


def test_signed_header_covers_every_header_of_s3(stocked: Server) -> None:
    for method, path in (("GET", "/uploads/mine.txt"), ("PUT", "/uploads/new.txt"), ("DELETE", "/uploads/none"), ("GET", "/"), ("POST", "/uploads?delete")):
        for name, value in HEADERS.items():
            if name in ("x-amz-date", "x-amz-content-sha256"):
                continue
            headers = {**signed(stocked, method, path), name: value}
            answer = send(stocked, method, path, headers)
            assert (answer.status, answer.code) == (403, "AccessDenied"), f"{method} {path} with {name}: {answer}"
        headers = signed(stocked, method, path)
        headers["Authorization"] = headers["Authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
        assert b"<HeadersNotSigned>host</HeadersNotSigned>" in send(stocked, method, path, headers).body
    assert stocked.keys("uploads", "new") == []


def test_version_2_is_refused_in_headers_queries_and_forms(stocked: Server) -> None:
    old = stocked.client("s3", config=Config(signature_version="s3", retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError, match=re.escape(V4_ONLY)) as refusal:
        old.get_object(Bucket="uploads", Key="mine.txt")
    assert refusal.value.response["Error"]["Code"] == "InvalidRequest"
    url = old.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": "mine.txt"})
    assert "AWSAccessKeyId=" in url, "the client must have used version 2"
    post = old.generate_presigned_post("uploads", "by-v2.txt")
    for answer in (send(stocked, "GET", url), send(stocked, "POST", "/uploads", *form(post["fields"], b"text"))):
        assert (answer.status, answer.code) == (400, "InvalidRequest"), answer
        assert V4_ONLY.encode() in answer.body
    assert stocked.keys("uploads", "by-v2") == []


def test_body_of_a_refused_request_is_never_asked_for(stocked: Server) -> None:
    url = stocked.s3.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": "asked.txt"})
    target = url.removeprefix(stocked.endpoint)
    for line, headers in (
        (f"PUT {target}", "x-amz-acl: private\r\n"),
        (f"PUT {target[:-1]}{'0' if target[-1] != '0' else '1'}", ""),
        ("PUT /uploads/asked.txt", ""),
        ("PUT /uploads/asked.txt", "Authorization: AWS AKIA:c2ln\r\n"),
    ):
        with connect(stocked) as socket:
            host = stocked.endpoint.removeprefix("http://")
            socket.sendall(f"{line} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n{headers}\r\n".encode())
            told = b""
            while chunk := socket.recv(65536):
                told += chunk
        assert told.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400")) and b"100 Continue" not in told, told
    assert stocked.keys("uploads", "asked") == []


def test_too_many_keys_and_too_long_documents_are_refused_before_anything_is_done(stocked: Server) -> None:
    stocked.s3.put_object(Bucket="uploads", Key="kept", Body=b"x")
    once = stocked.client("s3", config=Config(retries={"total_max_attempts": 1}))
    for objects in ([{"Key": "kept"}] + [{"Key": f"k{number}"} for number in range(1000)], []):
        with pytest.raises(ClientError) as refusal:
            once.delete_objects(Bucket="uploads", Delete={"Objects": objects})
        assert refusal.value.response["Error"]["Code"] == "MalformedXML"
    assert stocked.keys("uploads", "kept") == ["kept"]
    assert len(once.delete_objects(Bucket="uploads", Delete={"Objects": [{"Key": f"k{number}"} for number in range(1000)]})["Deleted"]) == 1000
    # One byte too long, so that the server has read all of it when it refuses it, and the answer is not lost.
    document = b"<Delete>".ljust((8 << 20) + 1)
    for path in ("/uploads?delete", "/uploads/kept?uploadId=none"):
        headers = signed(stocked, "POST", path, {"Content-Length": str(len(document))}, document)
        answer = send(stocked, "POST", path, headers, document)
        assert answer.status == 400 and answer.code == "MaxMessageLengthExceeded", (path, answer)
    wrong = signed(stocked, "PUT", "/uploads/kept?tagging", body=b"<Tagging/>")
    answer = send(stocked, "PUT", "/uploads/kept?tagging", wrong, b"<Taggin1/>")
    assert answer.status == 400, answer
    assert stocked.keys("uploads", "kept") == ["kept"]


def test_longer_keys_than_s3_has_are_refused(stocked: Server) -> None:
    once = stocked.client("s3", config=Config(retries={"total_max_attempts": 1}))
    place = {"Bucket": "uploads", "Key": "ñ" * 513}
    for call in (
        lambda: once.put_object(**place, Body=b""),
        lambda: once.get_object(**place),
        lambda: once.create_multipart_upload(**place),
        lambda: once.copy_object(**place, CopySource="uploads/mine.txt"),
    ):
        with pytest.raises(ClientError) as refusal:
            call()
        assert refusal.value.response["Error"]["Code"] == "KeyTooLongError"


NAVIGATION = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Accept": "text/html,*/*;q=0.8"}


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xml", "application/xhtml+xml", "application/pdf"])
def test_stored_pages_do_not_run_on_this_origin(stocked: Server, kind: str) -> None:
    place = {"Bucket": "uploads", "Key": "page"}
    stocked.s3.put_object(**place, Body=b"<script>alert(1)</script>", ContentType=kind)
    for wishes in ({}, {"ResponseContentDisposition": 'inline; filename="a.html"'}, {"ResponseContentType": "text/html", "ResponseContentDisposition": "inline"}):
        url = stocked.s3.generate_presigned_url("get_object", Params={**place, **wishes})
        shown = send(stocked, "GET", url, NAVIGATION)
        assert shown.status == 200 and shown.headers["content-security-policy"] == "sandbox", shown.headers
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-disposition"].startswith("attachment"), shown.headers
        part = send(stocked, "GET", url, {**NAVIGATION, "Range": "bytes=0-3"})
        assert part.status == 206 and part.headers["content-disposition"].startswith("attachment")
        # An SDK, a player and a page's own request get what was stored.
        plain = send(stocked, "GET", url, {"Accept": "*/*"})
        assert plain.body == b"<script>alert(1)</script>" and plain.headers.get("content-disposition") == wishes.get("ResponseContentDisposition")
    refused = send(stocked, "GET", "/uploads/page", NAVIGATION)
    assert refused.status in (200, 403) and refused.headers["content-security-policy"]


def test_videos_are_shown_in_a_window(stocked: Server) -> None:
    place = {"Bucket": "uploads", "Key": "shown"}
    stocked.s3.put_object(**place, Body=b"video", ContentType="video/mp4")
    shown = send(stocked, "GET", stocked.s3.generate_presigned_url("get_object", Params=place), NAVIGATION)
    assert "content-disposition" not in shown.headers and shown.headers["content-type"] == "video/mp4"


def test_log_has_no_secret_at_any_level(stocked: Server) -> None:
    url = stocked.s3.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": "mine.txt"})
    assert send(stocked, "GET", url).status == 200
    assert send(stocked, "GET", url[:-1] + ("1" if url[-1] == "0" else "0")).status == 403
    assert send(stocked, "GET", "/_abanico/jobs", {"Authorization": f"Bearer {SECRET_ACCESS_KEY}"}).status == 200
    stocked.s3.put_object(Bucket="uploads", Key="traced.txt", Body=b"x")
    login = b'{"secretAccessKey": "' + SECRET_ACCESS_KEY.encode() + b'"}'
    console = {"Content-Type": "application/json", "X-Abanico-Console": "login"}
    answer = send(stocked, "POST", "/_abanico/login", console, login)
    cookie, token = answer.headers["set-cookie"], json.loads(answer.body)["token"]
    session = {"Cookie": cookie.split(";")[0], "X-Abanico-Console": token}
    assert send(stocked, "GET", "/_abanico/jobs", session).status == 200
    log = stocked.log()
    assert "TRACE" in log or "DEBUG" in log, "the server must have been told to log everything"
    assert secrets_in(log, SECRET_ACCESS_KEY) == []
    assert url.split("X-Amz-Signature=")[1] not in log and cookie.split(";")[0].split("=")[1] not in log
    assert token not in log


def test_check_of_logs_can_fail() -> None:
    for line in (
        "GET /b/k?X-Amz-Signature=0123456789abcdef0123",
        "authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026/x",
        "Cookie: abanico_session=QUtJQQ.1.x",
        f"key {SECRET_ACCESS_KEY}",
        "/b/k?AWSAccessKeyId=AKIA&Signature=FJPMrUDMu6f7UPuYgEo%2B&Expires=1",
    ):
        assert secrets_in(f"fine\n{line}\n", SECRET_ACCESS_KEY) == [line]
    assert secrets_in("GET /b/k?X-Amz-Signature=REDACTED", SECRET_ACCESS_KEY) == []
