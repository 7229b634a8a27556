"""Do uploads by browser forms work, for every file, and only as their policy says?"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import Server, eventually
from plain_http import connect, form, send

MIB = 1 << 20


def post(server: Server, key: str, file: bytes, *, fields: dict[str, str] | None = None, conditions: list | None = None, **options: object):
    """Presigns a form, fills it in and sends it."""
    given = dict(fields or {})
    extra = [{name: value} for name, value in given.items()] if conditions is None else conditions
    made = server.s3.generate_presigned_post("uploads", key, Fields=given, Conditions=extra, **{k: v for k, v in options.items() if k == "ExpiresIn"})
    filled = {**made["fields"], **options.get("filled", {})}
    return send(server, "POST", made["url"], *form(filled, file, **{k: v for k, v in options.items() if k in ("name", "boundary")}))


def body(server: Server, key: str) -> bytes:
    return server.s3.get_object(Bucket="uploads", Key=key)["Body"].read()


def test_form_uploads_a_video_and_starts_its_job(server: Server, clips: Clips) -> None:
    file = clips.file(Clip(width=320, height=180, frames=25)).read_bytes()
    answer = post(server, "forms/${filename}", file, name="año 1.mp4", fields={"Content-Type": "video/mp4", "x-amz-meta-from": "form"})
    assert answer.status == 204 and answer.body == b"", answer
    assert answer.headers["location"].endswith("/uploads/forms/a%C3%B1o%201.mp4") and answer.headers["etag"]
    stored = server.s3.get_object(Bucket="uploads", Key="forms/año 1.mp4")
    assert stored["Body"].read() == file and stored["ContentType"] == "video/mp4" and stored["Metadata"] == {"from": "form"}
    assert stored["ETag"] == answer.headers["etag"]
    assert server.wait_job("forms/año 1.mp4")["Status"] == "COMPLETE"


def test_every_file_arrives_as_it_was(server: Server) -> None:
    chance = random.Random(8)
    pieces = [b"\r\n", b"--", b"a-boundary", b"\r\n--a-boundar", b"--a-boundary--", b"\r", b"\n", b"\x00" * 70_000]
    for number in range(24):
        random_file = os.urandom(8 * MIB) if number % 2 else b"".join(chance.choice(pieces) for _ in range(2000))
        file = random_file.replace(b"\r\n--a-boundary", b"\r\n--a-boundarx")
        assert post(server, f"random/{number}", file).status == 204
        assert body(server, f"random/{number}") == file, f"file {number}"
    assert post(server, "random/empty", b"").status == 204 and body(server, "random/empty") == b""


def test_form_says_how_it_is_answered(server: Server) -> None:
    for status in ("200", "201", "204"):
        answer = post(server, f"status/{status} & <b>", b"x", fields={"success_action_status": status})
        assert answer.status == int(status)
        if status == "201":
            assert b"<Bucket>uploads</Bucket><Key>status/201 &amp; &lt;b&gt;</Key>" in answer.body and answer.headers["content-type"] == "application/xml"
    assert post(server, "status/odd", b"x", fields={"success_action_status": "301"}).status == 204
    answer = post(server, "status/a b", b"x", fields={"success_action_redirect": "https://app.example/done?n=1#top"})
    assert answer.status == 303
    assert answer.headers["location"].startswith("https://app.example/done?n=1&bucket=uploads&key=status%2Fa%20b&etag=%22") and answer.headers["location"].endswith("%22#top")
    for wrong in ("javascript:alert(1)", "/relative", "data:text/html,x"):
        answer = post(server, "status/wrong", b"x", fields={"success_action_redirect": wrong})
        assert answer.status == 204 and "app.example" not in answer.headers["location"]


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"filled": {"key": "elsewhere"}}, "AccessDenied"),
        ({"filled": {"x-amz-meta-extra": "1"}}, "AccessDenied"),
        ({"filled": {"acl": "public-read"}}, "AccessDenied"),
        ({"fields": {"Content-Type": "video/mp4"}, "filled": {"Content-Type": "text/html"}}, "AccessDenied"),
        ({"fields": {"Content-Type": "text/html"}, "conditions": [["starts-with", "$Content-Type", "video/"]]}, "AccessDenied"),
        ({"conditions": [["content-length-range", 0, 3]]}, "EntityTooLarge"),
        ({"conditions": [["content-length-range", 5, 9]]}, "EntityTooSmall"),
        ({"filled": {"x-amz-signature": "0" * 64}}, "SignatureDoesNotMatch"),
        ({"filled": {"policy": "e30="}}, "SignatureDoesNotMatch"),
        ({"filled": {"x-amz-date": "20260101T000000Z"}}, "AccessDenied"),
        ({"filled": {"x-amz-credential": "AKIAOTHER/20260101/us-east-1/s3/aws4_request"}}, "AccessDenied"),
        ({"conditions": [["content-length-range", 4, 4], {"bucket": "renditions"}]}, "AccessDenied"),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_form_does_only_what_its_policy_allows(server: Server, wishes: dict, code: str) -> None:
    answer = post(server, "allowed", b"1234", **wishes)
    assert answer.status in (400, 403) and answer.code == code, answer
    assert server.keys("uploads", "allowed") == server.keys("uploads", "elsewhere") == []


def test_expired_policy_is_refused(server: Server) -> None:
    made = server.s3.generate_presigned_post("uploads", "late", ExpiresIn=1)
    time.sleep(2.1)
    answer = send(server, "POST", made["url"], *form(made["fields"], b"x"))
    assert answer.code == "AccessDenied" and b"Policy expired" in answer.body


def test_fields_after_the_file_do_not_count(server: Server) -> None:
    made = server.s3.generate_presigned_post("uploads", "first")
    headers, sent = form(made["fields"], b"text")
    tail = b'\r\n--a-boundary\r\nContent-Disposition: form-data; name="key"\r\n\r\nsecond\r\n--a-boundary--\r\n'
    sent = sent.replace(b"\r\n--a-boundary--\r\n", tail)
    assert send(server, "POST", "/uploads", headers, sent).status == 204
    assert body(server, "first") == b"text" and server.keys("uploads", "second") == []
    fields = made["fields"]
    late = {name: fields[name] for name in fields if name != "x-amz-signature"}
    headers, sent = form(late, b"text")
    tail = f'\r\n--a-boundary\r\nContent-Disposition: form-data; name="x-amz-signature"\r\n\r\n{fields["x-amz-signature"]}\r\n--a-boundary--\r\n'
    answer = send(server, "POST", "/uploads", headers, sent.replace(b"\r\n--a-boundary--\r\n", tail.encode()))
    assert answer.code == "InvalidArgument", answer


def test_malformed_forms_are_the_senders_fault(server: Server) -> None:
    made = server.s3.generate_presigned_post("uploads", "malformed")
    headers, whole = form(made["fields"], b"0123456789")
    for sent, code in (
        (b"", "IncompleteBody"),
        (b"--other\r\n\r\n", "IncompleteBody"),
        (whole[:-20], "IncompleteBody"),
        (form({}, b"x")[1], "AccessDenied"),
        (form({"pad": "x" * 65536}, b"x")[1], "MaxPostPreDataLengthExceededError"),
        (b"--a-boundary\r\nX: y\r\n\r\nz\r\n--a-boundary--", "MalformedPOSTRequest"),
        (form({**made["fields"], "KEY": "x"}, b"x")[1], "InvalidArgument"),
    ):
        answer = send(server, "POST", "/uploads", headers, sent)
        assert answer.status in (400, 403) and answer.code == code, (sent[:80], answer)
    assert send(server, "POST", "/uploads", {"Content-Type": "multipart/form-data"}, whole).code == "MalformedPOSTRequest"
    assert send(server, "POST", "/uploads/key", headers, whole).code == "MethodNotAllowed"
    assert send(server, "POST", "/nowhere", headers, whole).code in ("AccessDenied", "NoSuchBucket")
    assert server.keys("uploads", "malformed") == []


def incoming(server: Server) -> int:
    return sum(1 for _ in (server.data / "s3" / "incoming").iterdir())


def test_large_file_is_never_in_memory_and_stops_at_its_limit(server: Server) -> None:
    def resident() -> int:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    before, chunk = resident(), os.urandom(MIB)
    made = server.s3.generate_presigned_post("uploads", "large", Conditions=[["content-length-range", 0, 300 * MIB]])
    headers, around = form(made["fields"], b"@@@")
    start, end = around.split(b"@@@")

    def upload(mebibytes: int) -> bytes:
        with connect(server) as socket:
            length = len(start) + mebibytes * MIB + len(end)
            socket.sendall(f"POST /uploads HTTP/1.1\r\nHost: {server.endpoint.removeprefix('http://')}\r\nContent-Type: {headers['Content-Type']}\r\n"
                           f"Content-Length: {length}\r\nConnection: close\r\n\r\n".encode() + start)  # fmt: skip
            try:
                for _ in range(mebibytes):
                    socket.sendall(chunk)
                socket.sendall(end)
            except (BrokenPipeError, ConnectionResetError):
                pass
            try:
                return socket.recv(65536)
            except ConnectionResetError:
                return b""

    assert upload(300).startswith(b"HTTP/1.1 204")
    assert resident() - before < 64, f"{before} MiB before, {resident()} MiB after"
    assert server.s3.head_object(Bucket="uploads", Key="large")["ContentLength"] == 300 * MIB
    answer = upload(301)
    assert answer == b"" or (b"HTTP/1.1 400" in answer and b"EntityTooLarge" in answer), answer[:300]
    assert server.s3.head_object(Bucket="uploads", Key="large")["ContentLength"] == 300 * MIB
    eventually(lambda: incoming(server) == 0, 20, "nothing of the refused file is left")
