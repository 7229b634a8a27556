"""Can everyone read what a bucket's policy opens, and nothing else?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness import Server
from plain_http import Answer, send
from test_s3_refusals import code

BUCKET, CLOSED = "public", "closed"
OPEN = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/hls/*"}
BLOCKS = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    for bucket in (BUCKET, CLOSED):
        server.s3.create_bucket(Bucket=bucket)
        server.s3.delete_public_access_block(Bucket=bucket)
        server.s3.put_object(Bucket=bucket, Key="hls/a b.m3u8", Body=b"#EXTM3U", ContentType="application/vnd.apple.mpegurl", Tagging="a=b")
        server.s3.put_object(Bucket=bucket, Key="private", Body=b"secret")
    return server


@pytest.fixture(autouse=True)
def opened(stocked: Server) -> Iterator[None]:
    """Each test begins with the prefix open."""
    put(stocked, OPEN)
    yield
    stocked.s3.delete_public_access_block(Bucket=BUCKET)
    stocked.s3.delete_bucket_policy(Bucket=BUCKET)


def put(server: Server, *statements: dict) -> None:
    server.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))


def get(server: Server, path: str, method: str = "GET", **headers: str) -> Answer:
    return send(server, method, path, {name.replace("_", "-"): value for name, value in headers.items()})


def test_player_reads_the_prefix(stocked: Server) -> None:
    path = f"/{BUCKET}/hls/a%20b.m3u8"
    answer = get(stocked, path)
    assert (answer.status, answer.body) == (200, b"#EXTM3U")
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert (answer.headers["content-security-policy"], answer.headers["x-content-type-options"]) == ("sandbox", "nosniff")
    assert "x-amz-tagging-count" not in answer.headers
    assert get(stocked, path, "HEAD").status == 200
    assert get(stocked, path, Range="bytes=1-3").body == b"EXT"
    assert get(stocked, path, Range="lines=1-3").body == b"#EXTM3U", "a range that is none is ignored"
    assert get(stocked, path, If_None_Match=answer.headers["etag"]).status == 304
    by_host = send(stocked, "GET", "/hls/a%20b.m3u8", {"Host": f"{BUCKET}.localhost"})
    assert by_host.body == b"#EXTM3U"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/{BUCKET}/private"),
        ("GET", f"/{BUCKET}/hls/missing"),
        ("GET", f"/{BUCKET}/hls"),
        ("GET", f"/{BUCKET}"),
        ("GET", f"/{BUCKET}/?list-type=2"),
        ("GET", f"/{BUCKET}/?versions"),
        ("GET", f"/{BUCKET}/?policy"),
        ("HEAD", f"/{BUCKET}"),
        ("GET", f"/{CLOSED}/hls/a%20b.m3u8"),
        ("GET", f"/%70ublic/hls/a%20b.m3u8"),
        ("GET", "/missing/hls/a"),
        ("GET", "/"),
        ("GET", f"/{BUCKET}/hls/a%20b.m3u8?acl"),
        ("GET", f"/{BUCKET}/hls/a%20b.m3u8?tagging"),
        ("GET", f"/{BUCKET}/hls/a%20b.m3u8?attributes"),
        ("GET", f"/{BUCKET}/hls/a%20b.m3u8?versionId=null"),
        ("GET", f"/{BUCKET}/hls/a%20b.m3u8?x-amz-signature=0"),
        ("PUT", f"/{BUCKET}/hls/new"),
        ("DELETE", f"/{BUCKET}/hls/a%20b.m3u8"),
        ("POST", f"/{BUCKET}?delete"),
        ("POST", f"/{BUCKET}/hls/new?uploads"),
    ],
)
def test_nothing_else_is_open(stocked: Server, method: str, path: str) -> None:
    answer = get(stocked, path, method)
    assert answer.status == 403 and (method == "HEAD" or answer.code == "AccessDenied"), answer
    assert b"secret" not in answer.body
    assert stocked.keys(BUCKET) == ["hls/a b.m3u8", "private"]


def test_stranger_sets_no_headers_of_the_answer(stocked: Server) -> None:
    for name in ("response-content-type", "Response-Content-Disposition"):
        answer = get(stocked, f"/{BUCKET}/hls/a%20b.m3u8?{name}=text/html")
        assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_console_api_and_monitoring_stay_closed(stocked: Server) -> None:
    put(stocked, {**OPEN, "Resource": f"arn:aws:s3:::{BUCKET}/*"})
    for path in ("/_abanico/jobs", "/_abanico/events", "/2017-08-29/jobs"):
        assert get(stocked, path).status == 403, path
        hosted = send(stocked, "GET", path, {"Host": f"{BUCKET}.localhost"})
        assert (hosted.status, hosted.code) == (403, "AccessDenied"), path


def test_wrong_signature_is_no_guest(stocked: Server) -> None:
    claim = "AWS4-HMAC-SHA256 Credential=AKIAOTHER/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00"
    answer = get(stocked, f"/{BUCKET}/hls/a%20b.m3u8", Authorization=claim)
    assert answer.status in (400, 403) and answer.body != b"#EXTM3U"


def test_listing_is_open_if_the_policy_says_so(stocked: Server) -> None:
    put(stocked, OPEN, {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{BUCKET}"]})
    for path in (f"/{BUCKET}", f"/{BUCKET}/?list-type=2&prefix=hls/"):
        assert b"<Key>hls/a b.m3u8</Key>" in get(stocked, path).body
    assert get(stocked, f"/{BUCKET}", "HEAD").status == 200
    assert get(stocked, f"/{BUCKET}/hls/missing").code == "NoSuchKey", "who may list may know"
    assert get(stocked, f"/{BUCKET}/private").code == "AccessDenied"
    assert get(stocked, f"/{BUCKET}/?uploads").code == "AccessDenied"


def test_policy_comes_back_and_closes_when_deleted(stocked: Server) -> None:
    s3, path = stocked.s3, f"/{BUCKET}/hls/a%20b.m3u8"
    assert json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"] == [OPEN]
    assert s3.get_bucket_policy_status(Bucket=BUCKET)["PolicyStatus"]["IsPublic"] is True
    s3.delete_bucket_policy(Bucket=BUCKET)
    assert get(stocked, path).code == "AccessDenied"
    assert code(s3.get_bucket_policy, Bucket=BUCKET) == "NoSuchBucketPolicy"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"Effect": "Deny"}, "NotImplemented"),
        ({"Action": "s3:*"}, "NotImplemented"),
        ({"Action": ["s3:GetObject", "s3:PutObject"]}, "NotImplemented"),
        ({"Principal": {"AWS": "arn:aws:iam::111122223333:root"}}, "NotImplemented"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, "NotImplemented"),
        ({"Resource": f"arn:aws:s3:::{BUCKET}/*/x"}, "NotImplemented"),
        ({"Resource": f"arn:aws:s3:::{CLOSED}/*"}, "MalformedPolicy"),
        ({"Resource": "*"}, "MalformedPolicy"),
    ],
    ids=str,
)
def test_policy_that_cannot_be_kept_is_refused(stocked: Server, change: dict, expected: str) -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**OPEN, **change}]})
    assert code(stocked.s3.put_bucket_policy, Bucket=BUCKET, Policy=policy) == expected
    assert json.loads(stocked.s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"] == [OPEN]


def test_access_block_closes_and_refuses(stocked: Server) -> None:
    s3, path = stocked.s3, f"/{BUCKET}/hls/a%20b.m3u8"
    blocks = {**BLOCKS, "RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=blocks)
    assert s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"] == blocks
    assert get(stocked, path).code == "AccessDenied"
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration={**BLOCKS, "BlockPublicPolicy": True})
    assert get(stocked, path).status == 200
    policy = json.dumps({"Version": "2012-10-17", "Statement": [OPEN]})
    assert code(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy) == "AccessDenied"
    s3.delete_public_access_block(Bucket=BUCKET)
    s3.put_bucket_policy(Bucket=BUCKET, Policy=policy)


@pytest.mark.parametrize("bucket", ["new", "uploads"])
def test_new_bucket_takes_no_policy_while_it_is_blocked(fresh_server: Server, bucket: str) -> None:
    """Whether a client made it or the configuration: as on AWS, where it is so for all new buckets."""
    s3 = fresh_server.start().s3
    if bucket == "new":
        s3.create_bucket(Bucket=bucket)
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}
    policy = json.dumps({"Version": "2012-10-17", "Statement": {**OPEN, "Resource": f"arn:aws:s3:::{bucket}/*"}})
    assert code(s3.put_bucket_policy, Bucket=bucket, Policy=policy) == "AccessDenied"
    blocks = {**BLOCKS, "RestrictPublicBuckets": True}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocks)
    fresh_server.stop()
    s3 = fresh_server.start().s3
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == blocks
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def test_policy_survives_a_restart(fresh_server: Server) -> None:
    s3 = fresh_server.start().s3
    s3.delete_public_access_block(Bucket="renditions")
    s3.put_object(Bucket="renditions", Key="a", Body=b"open")
    policy = {"Version": "2012-10-17", "Statement": {**OPEN, "Resource": "arn:aws:s3:::renditions/*"}}
    s3.put_bucket_policy(Bucket="renditions", Policy=json.dumps(policy))
    fresh_server.kill()
    fresh_server.start()
    assert get(fresh_server, "/renditions/a").body == b"open"


def test_page_elsewhere_reads_by_the_buckets_rules(stocked: Server) -> None:
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://player.example"]}
    stocked.s3.put_bucket_cors(Bucket=BUCKET, CORSConfiguration={"CORSRules": [rule]})
    answer = get(stocked, f"/{BUCKET}/hls/a%20b.m3u8", Origin="https://player.example")
    assert answer.headers["access-control-allow-origin"] == "https://player.example"
    assert "access-control-allow-origin" not in get(stocked, f"/{BUCKET}/hls/a%20b.m3u8", Origin="https://evil.example").headers
