"""Are the answers of the S3 endpoint as AWS documents them, down to what old and unusual clients look at?"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from harness import Server
from plain_http import Answer, connect, send, signed
from test_s3_refusals import code

PLACE = {"Bucket": "things", "Key": "answers/k"}
PATH = "/things/answers/k"
MIB = 1 << 20


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    # Its objects start no jobs.
    server.s3.create_bucket(Bucket="things")
    server.s3.put_object(**PLACE, Body=b"0123456789", ContentType="video/mp4")
    server.s3.put_object(Bucket="things", Key="answers/empty", Body=b"")
    return server


def ask(server: Server, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """Signs a request and sends it."""
    return send(server, method, path, signed(server, method, path, headers, body), body)


def in_parts(server: Server, key: str, **options: object) -> tuple[list[bytes], dict]:
    """Uploads an object in two parts and returns them and the answer."""
    s3, place, parts = server.s3, {"Bucket": "things", "Key": key}, [b"a" * (5 * MIB), b"end"]
    upload = s3.create_multipart_upload(**place, **options)["UploadId"]
    listed = []
    for number, part in enumerate(parts, 1):
        told = s3.upload_part(**place, UploadId=upload, PartNumber=number, Body=part, **options)
        listed.append({"PartNumber": number, **{name: value for name, value in told.items() if name == "ETag" or name.startswith("Checksum") and name != "ChecksumType"}})
    return parts, s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": listed})


def test_connection_ends_after_an_empty_body_that_was_waited_for(stocked: Server) -> None:
    path = "/things/answers/expected"
    headers = {**signed(stocked, "PUT", path), "Expect": "100-continue", "Content-Length": "0", "Host": urlsplit(stocked.endpoint).netloc}
    connection = connect(stocked)
    connection.sendall("\r\n".join([f"PUT {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode())
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    assert received.startswith(b"HTTP/1.1 200") and b"connection: close" in received.lower(), received
    assert stocked.s3.head_object(Bucket="things", Key="answers/expected")["ContentLength"] == 0


def test_unchanged_object_is_told_by_its_headers(stocked: Server) -> None:
    told = stocked.s3.head_object(**PLACE)
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(told["LastModified"].timestamp() + 60))
    for method in ("GET", "HEAD"):
        for condition in ({"If-None-Match": told["ETag"]}, {"If-Modified-Since": later}):
            answer = ask(stocked, method, PATH, condition)
            assert (answer.status, answer.body, answer.headers.get("etag")) == (304, b"", told["ETag"])
            assert "last-modified" in answer.headers and "content-type" not in answer.headers and answer.headers.get("content-length", "0") == "0"


def test_location_of_a_completed_upload_is_an_address(stocked: Server) -> None:
    location = in_parts(stocked, "answers/a b+ü")[1]["Location"]
    assert location == f"{stocked.endpoint}/things/answers/a%20b%2B%C3%BC"


def test_deletion_takes_a_thousand_keys(stocked: Server) -> None:
    objects = [{"Key": f"none/{number}"} for number in range(1001)]
    assert code(stocked.s3.delete_objects, Bucket="things", Delete={"Objects": objects}) == "MalformedXML"
    assert code(stocked.s3.delete_objects, Bucket="things", Delete={"Objects": objects[1:]}) == ""


def test_presigned_address_is_valid_for_a_week_at_most(stocked: Server) -> None:
    def answer(seconds: int) -> Answer:
        return send(stocked, "GET", stocked.s3.generate_presigned_url("get_object", Params=PLACE, ExpiresIn=seconds))

    assert answer(604_800).status == 200
    assert (answer(604_801).status, answer(604_801).code) == (400, "AuthorizationQueryParametersError")


def test_part_comes_with_its_own_checksum(stocked: Server) -> None:
    key = "answers/parts"
    parts, _ = in_parts(stocked, key, ChecksumAlgorithm="SHA256")
    for number, part in enumerate(parts, 1):
        for call in (stocked.s3.get_object, stocked.s3.head_object):
            told = call(Bucket="things", Key=key, PartNumber=number, ChecksumMode="ENABLED")
            assert told["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(part).digest()).decode()
            assert (told["ChecksumType"], told["PartsCount"]) == ("COMPOSITE", 2)
    whole = stocked.s3.head_object(Bucket="things", Key=key, ChecksumMode="ENABLED")
    assert whole["ChecksumSHA256"].endswith("-2") and "PartsCount" not in whole
    assert "PartsCount" not in stocked.s3.get_object(Bucket="things", Key=key)


def test_metadata_has_two_kilobytes_at_most(stocked: Server) -> None:
    s3, place = stocked.s3, {"Bucket": "things", "Key": "answers/meta"}
    s3.put_object(**place, Body=b"x", Metadata={"name": "v" * 2044})
    assert s3.head_object(**place)["Metadata"] == {"name": "v" * 2044}
    more = {"Metadata": {"name": "v" * 2045}}
    assert code(s3.put_object, **place, Body=b"y", **more) == "MetadataTooLarge"
    assert code(s3.create_multipart_upload, **place, **more) == "MetadataTooLarge"
    assert code(s3.copy_object, **place, CopySource=PLACE, MetadataDirective="REPLACE", **more) == "MetadataTooLarge"
    assert s3.get_object(**place)["Body"].read() == b"x"


@pytest.mark.parametrize("odd", ["bytes=a-b", "bytes=5-1", "bytes=0-0,2-3", "items=0-1", "bytes", "-5"])
def test_range_that_is_none_is_ignored(stocked: Server, odd: str) -> None:
    answer = ask(stocked, "GET", PATH, {"Range": odd})
    assert (answer.status, answer.body) == (200, b"0123456789") and "content-range" not in answer.headers
    answer = ask(stocked, "HEAD", PATH, {"Range": odd})
    assert (answer.status, answer.headers["content-length"], answer.headers["content-type"]) == (200, "10", "video/mp4")
    address = stocked.s3.generate_presigned_url("get_object", Params={**PLACE, "ResponseContentType": "text/x"})
    answer = send(stocked, "GET", address, {"Range": odd})
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"0123456789", "text/x")
    assert ask(stocked, "GET", "/things/answers/none", {"Range": odd}).code == "NoSuchKey"


def test_range_that_is_none_opens_no_door(stocked: Server) -> None:
    odd = {"Range": "bytes=a-b"}
    assert send(stocked, "GET", PATH, odd).code == "AccessDenied"
    headers = signed(stocked, "GET", PATH, odd)
    forged = re.sub(r"Signature=\w{4}", "Signature=0000", headers["Authorization"])
    assert send(stocked, "GET", PATH, {**headers, "Authorization": forged}).code == "SignatureDoesNotMatch"
    assert send(stocked, "GET", PATH, {**headers, "Range": "bytes=c-d"}).code == "SignatureDoesNotMatch"
    assert ask(stocked, "GET", f"{PATH}?versionId=1", odd).code == "InvalidArgument"
    assert ask(stocked, "GET", f"{PATH}?annotation", odd).code == "NotImplemented"
    assert ask(stocked, "GET", PATH, {**odd, "x-amz-expected-bucket-owner": "111111111111"}).code == "AccessDenied"


def test_empty_object_has_no_last_bytes(stocked: Server) -> None:
    for wanted in ("bytes=-1", "bytes=0-0", "bytes=0-"):
        answer = ask(stocked, "GET", "/things/answers/empty", {"Range": wanted})
        assert (answer.status, answer.code) == (416, "InvalidRange"), wanted


def test_attributes_name_the_etag_without_quotes(stocked: Server) -> None:
    s3 = stocked.s3
    in_parts(stocked, "answers/attributes")
    for key in (PLACE["Key"], "answers/attributes"):
        told = s3.get_object_attributes(Bucket="things", Key=key, ObjectAttributes=["ETag", "ObjectSize"])
        assert f'"{told["ETag"]}"' == s3.head_object(Bucket="things", Key=key)["ETag"]


def test_buckets_come_in_pages(stocked: Server) -> None:
    s3 = stocked.s3
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    page = s3.list_buckets(MaxBuckets=1)
    assert [bucket["Name"] for bucket in page["Buckets"]] == names[:1]
    rest = s3.list_buckets(MaxBuckets=10_000, ContinuationToken=page["ContinuationToken"])
    assert [bucket["Name"] for bucket in rest["Buckets"]] == names[1:] and "ContinuationToken" not in rest
    pages = list(s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1}))
    assert [bucket["Name"] for page in pages for bucket in page["Buckets"]] == names and len(pages) == len(names)
    assert not s3.list_buckets(BucketRegion="eu-west-1")["Buckets"]
    for wrong in ("max-buckets=0", "max-buckets=10001", "continuation-token=%25"):
        assert ask(stocked, "GET", f"/?{wrong}").code == "InvalidArgument", wrong


def test_head_tells_what_get_tells(stocked: Server) -> None:
    s3, place = stocked.s3, {"Bucket": "things", "Key": "answers/tagged"}
    s3.put_object(**place, Body=b"x", Tagging="a=1&b=2")
    assert s3.head_object(**place)["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "2"
    assert "x-amz-tagging-count" not in s3.head_object(**PLACE)["ResponseMetadata"]["HTTPHeaders"]
    asked = {
        "ResponseCacheControl": "no-store", "ResponseContentDisposition": 'attachment; filename="a.mp4"', "ResponseContentEncoding": "x",
        "ResponseContentLanguage": "es", "ResponseContentType": "text/x", "ResponseExpires": "Fri, 01 Jan 2027 00:00:00 GMT",
    }  # fmt: skip
    names = ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires", "etag", "content-length"]
    told = [{name: call(**place, **asked)["ResponseMetadata"]["HTTPHeaders"][name] for name in names} for call in (s3.get_object, s3.head_object)]
    assert told[0] == told[1] and told[0]["content-language"] == "es"


def test_every_answer_has_the_id_of_its_request(stocked: Server) -> None:
    missing = ask(stocked, "GET", "/things/answers/none")
    told = missing.headers["x-amz-request-id"]
    assert f"<RequestId>{told}</RequestId>".encode() in missing.body and re.fullmatch("[0-9A-F]{16}", told)
    others = [
        ask(stocked, "GET", PATH), ask(stocked, "HEAD", "/things/answers/none"), send(stocked, "GET", PATH), send(stocked, "OPTIONS", PATH),
        ask(stocked, "PUT", f"{PATH}?annotation"), send(stocked, "POST", "/things", {"content-type": "multipart/form-data; boundary=b"}, b"x"),
    ]  # fmt: skip
    ids = [answer.headers["x-amz-request-id"] for answer in others]
    assert len({told, *ids}) == 7
    assert all(f"<RequestId>{id_}</RequestId>".encode() in answer.body for id_, answer in zip(ids, others, strict=True) if answer.body and answer.status >= 400)
    with pytest.raises(ClientError) as refusal:
        stocked.s3.get_object(Bucket="things", Key="answers/none")
    assert refusal.value.response["ResponseMetadata"]["RequestId"] in stocked.log()


def test_unknown_key_is_named_so(stocked: Server) -> None:
    s3 = stocked.client("s3", aws_access_key_id="AKIAUNKNOWN", aws_secret_access_key="x")
    assert code(s3.list_buckets) == "InvalidAccessKeyId"


def test_options_request_must_name_its_origin(stocked: Server) -> None:
    answer = send(stocked, "OPTIONS", PATH)
    assert (answer.status, answer.code) == (400, "BadRequest")
    answer = send(stocked, "OPTIONS", PATH, {"Origin": "http://app"})
    assert (answer.status, answer.code) == (400, "BadRequest")
    answer = send(stocked, "OPTIONS", PATH, {"Origin": "http://app", "Access-Control-Request-Method": "GET"})
    assert answer.status == 403


@pytest.mark.parametrize("list_of", ["", "list-type=2&", "uploads&"])
def test_empty_delimiter_is_none_and_encoding_is_url(stocked: Server, list_of: str) -> None:
    answer = ask(stocked, "GET", f"/things?{list_of}delimiter=&prefix=")
    assert answer.status == 200 and b"Delimiter" not in answer.body
    assert b"<Delimiter>/</Delimiter>" in ask(stocked, "GET", f"/things?{list_of}delimiter=%2F").body
    assert ask(stocked, "GET", f"/things?{list_of}encoding-type=base64").code == "InvalidArgument"
    assert ask(stocked, "GET", f"/things?{list_of}encoding-type=url").status == 200


@pytest.mark.parametrize(("given", "kept"), [("deflate, gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip"), ("aws-chunked", None)])
def test_content_encoding_comes_back_as_it_was(stocked: Server, given: str, kept: str | None) -> None:
    assert ask(stocked, "PUT", "/things/answers/encoded", {"content-encoding": given}, b"x").status == 200
    assert stocked.s3.head_object(Bucket="things", Key="answers/encoded").get("ContentEncoding") == kept


@pytest.mark.parametrize("digest", ["", "AAAA", "no base64"])
def test_digest_must_be_one(stocked: Server, digest: str) -> None:
    answer = ask(stocked, "PUT", "/things/answers/digest", {"content-md5": digest}, b"x")
    assert answer.code == "InvalidDigest" and stocked.keys("things", "answers/digest") == []


def test_copy_has_the_checksum_that_is_wanted(stocked: Server) -> None:
    s3, copy = stocked.s3, {"Bucket": "things", "Key": "answers/summed"}
    parts, _ = in_parts(stocked, "answers/source", ChecksumAlgorithm="SHA1")
    wanted = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    told = s3.copy_object(**copy, CopySource={"Bucket": "things", "Key": "answers/source"}, ChecksumAlgorithm="SHA256")
    assert (told["CopyObjectResult"]["ChecksumSHA256"], told["CopyObjectResult"]["ChecksumType"]) == (wanted, "FULL_OBJECT")
    head = s3.head_object(**copy, ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (wanted, "FULL_OBJECT") and "ChecksumSHA1" not in head
    assert code(s3.copy_object, **copy, CopySource=PLACE, ChecksumAlgorithm="XXHASH64") == "InvalidRequest"


def test_completion_may_name_the_type_of_its_checksum(stocked: Server) -> None:
    s3, place = stocked.s3, {"Bucket": "things", "Key": "answers/typed"}
    upload = s3.create_multipart_upload(**place, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")["UploadId"]
    part = s3.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")
    wish = {**place, "UploadId": upload, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}
    assert code(s3.complete_multipart_upload, **wish, ChecksumType="COMPOSITE") == "InvalidRequest"
    assert code(s3.complete_multipart_upload, **wish, ChecksumType="FULL_OBJECT") == ""


def test_bucket_has_a_hundred_cors_rules_at_most(stocked: Server) -> None:
    s3 = stocked.s3
    s3.create_bucket(Bucket="rules")
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": [f"http://{number}"]} for number in range(101)]
    assert code(s3.put_bucket_cors, Bucket="rules", CORSConfiguration={"CORSRules": rules}) == "InvalidRequest"
    assert code(s3.get_bucket_cors, Bucket="rules") == "NoSuchCORSConfiguration"
    s3.put_bucket_cors(Bucket="rules", CORSConfiguration={"CORSRules": rules[1:]})
    assert len(s3.get_bucket_cors(Bucket="rules")["CORSRules"]) == 100


def test_document_over_its_limit_is_the_senders_fault(stocked: Server) -> None:
    document = b"<Delete>" + b" " * (9 * MIB) + b"</Delete>"
    answer = ask(stocked, "POST", "/things?delete=", {}, document)
    assert (answer.status, answer.code) == (400, "MaxMessageLengthExceeded")


def test_malformed_document_is_not_in_the_log(stocked: Server) -> None:
    answer = ask(stocked, "POST", "/things?delete=", {}, b"<Delete><Object><Key>whispered-words</Key></Delete>")
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert answer.headers["x-amz-request-id"] in stocked.log() and "whispered-words" not in stocked.log()


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("answers/a+b", "a b"), ("answers/a%20b", "a b"), ("answers/a%2Bb", "a+b"), ("answers%2Fa+b?versionId=null", "a b"), ("answers/a%2520b", "a%20b")],
)
def test_plus_in_the_source_of_a_copy_is_a_space(stocked: Server, written: str, wanted: str) -> None:
    for name in ("a b", "a+b", "a%20b"):
        stocked.s3.put_object(Bucket="things", Key=f"answers/{name}", Body=name.encode())
    copied = ask(stocked, "PUT", "/things/answers/copied", {"x-amz-copy-source": f"/things/{written}"})
    assert copied.status == 200, copied.body
    assert stocked.s3.get_object(Bucket="things", Key="answers/copied")["Body"].read().decode() == wanted
    place = {"Bucket": "things", "Key": "answers/parts"}
    upload = stocked.s3.create_multipart_upload(**place)["UploadId"]
    part = ask(stocked, "PUT", f"/things/answers/parts?partNumber=1&uploadId={upload}", {"x-amz-copy-source": f"/things/{written}"})
    assert part.status == 200, part.body
    listed = {"Parts": [{"PartNumber": 1, "ETag": re.search(r"<ETag>(.*)</ETag>", part.body.decode())[1].replace("&quot;", '"')}]}
    stocked.s3.complete_multipart_upload(**place, UploadId=upload, MultipartUpload=listed)
    assert stocked.s3.get_object(**place)["Body"].read().decode() == wanted
