"""Is what S3's requests ask for done, or refused before anything is stored or deleted?"""

from __future__ import annotations

import base64
import datetime
import hashlib

import pytest
from botocore.exceptions import ClientError
from harness import Server
from plain_http import form, send, signed

PLACE = {"Bucket": "things", "Key": "kept"}
ELSEWHERE = {"Bucket": "things", "Key": "made"}
KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
NEXT_YEAR = datetime.datetime(2030, 1, 1)
# What a request may ask of a new object, and AWS's answer, or 501 where AWS would do it.
UNSERVED: list[tuple[dict[str, object], str]] = [
    ({"ACL": "public-read"}, "AccessControlListNotSupported"),
    ({"ACL": "public-read-write"}, "AccessControlListNotSupported"),
    ({"ACL": "authenticated-read"}, "AccessControlListNotSupported"),
    ({"GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers"}, "AccessControlListNotSupported"),
    ({"GrantFullControl": "id=other"}, "AccessControlListNotSupported"),
    ({"StorageClass": "GLACIER"}, "InvalidStorageClass"),
    ({"StorageClass": "UNHEARD_OF"}, "InvalidStorageClass"),
    ({"ServerSideEncryption": "aws:kms"}, "NotImplemented"),
    ({"ServerSideEncryption": "aws:kms:dsse"}, "NotImplemented"),
    ({"ServerSideEncryption": "rot13"}, "InvalidArgument"),
    ({"SSEKMSKeyId": "arn:aws:kms:us-east-1:000000000000:key/1"}, "NotImplemented"),
    (KEY, "NotImplemented"),
    ({"WebsiteRedirectLocation": "/elsewhere"}, "NotImplemented"),
    ({"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": NEXT_YEAR}, "InvalidRequest"),
    ({"ObjectLockLegalHoldStatus": "ON"}, "InvalidRequest"),
    ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
]


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    # Its objects start no jobs.
    server.s3.create_bucket(Bucket="things")
    server.s3.put_object(**PLACE, Body=b"kept", Tagging="a=b")
    return server


def code(call: object, **arguments: object) -> str:
    """The code of a refusal; empty if there was none. An answer without a body has its status as its code."""
    try:
        call(**arguments)
    except ClientError as refusal:
        return refusal.response["Error"]["Code"]
    return ""


def unchanged(server: Server) -> bool:
    """Whether the object is as it was and nothing was made."""
    kept = server.s3.get_object(**PLACE)
    tags = server.s3.get_object_tagging(**PLACE)["TagSet"]
    begun = server.s3.list_multipart_uploads(Bucket="things").get("Uploads", [])
    return kept["Body"].read() == b"kept" and tags == [{"Key": "a", "Value": "b"}] and not begun and server.keys("things", "made") == []


@pytest.mark.parametrize(("asked", "expected"), UNSERVED, ids=lambda given: str(given)[:50])
def test_unserved_wish_makes_nothing(stocked: Server, asked: dict, expected: str) -> None:
    s3 = stocked.s3
    assert code(s3.put_object, **ELSEWHERE, Body=b"x", **asked) == expected
    assert code(s3.copy_object, **ELSEWHERE, CopySource=PLACE, **asked) == expected
    assert code(s3.create_multipart_upload, **ELSEWHERE, **asked) == expected
    assert unchanged(stocked)


def test_write_at_an_offset_is_refused(stocked: Server) -> None:
    assert code(stocked.s3.put_object, **PLACE, Body=b"x", WriteOffsetBytes=4) == "NotImplemented"
    assert unchanged(stocked)


def test_other_version_is_never_the_object(stocked: Server) -> None:
    s3, other = stocked.s3, {"VersionId": "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"}
    calls = {
        s3.delete_object: {}, s3.get_object: {}, s3.get_object_tagging: {}, s3.delete_object_tagging: {},
        s3.put_object_tagging: {"Tagging": {"TagSet": []}}, s3.get_object_attributes: {"ObjectAttributes": ["ETag"]},
    }  # fmt: skip
    for call, more in calls.items():
        assert code(call, **PLACE, **more, **other) == "InvalidArgument"
        if call not in (s3.delete_object, s3.delete_object_tagging, s3.put_object_tagging):
            assert code(call, **PLACE, **more, VersionId="null") == ""
    assert code(s3.head_object, **PLACE, **other) == "400"
    assert code(s3.copy_object, **ELSEWHERE, CopySource={**PLACE, **other}) == "InvalidArgument"
    upload = s3.create_multipart_upload(**ELSEWHERE)["UploadId"]
    assert code(s3.upload_part_copy, **ELSEWHERE, UploadId=upload, PartNumber=1, CopySource={**PLACE, **other}) == "InvalidArgument"
    s3.abort_multipart_upload(**ELSEWHERE, UploadId=upload)
    answer = s3.delete_objects(Bucket="things", Delete={"Objects": [{"Key": "kept", **other}]})
    assert [error["Code"] for error in answer["Errors"]] == ["NoSuchVersion"] and not answer.get("Deleted")
    assert unchanged(stocked)


@pytest.mark.parametrize("path", ["/things/kept?uploadId=none", "/things/kept?partNumber=1", "/things/kept?versionId=1"])
def test_part_without_its_upload_replaces_nothing(stocked: Server, path: str) -> None:
    answer = send(stocked, "PUT", path, signed(stocked, "PUT", path, body=b"part"), b"part")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert unchanged(stocked)


def test_keys_of_customers_are_refused_everywhere(stocked: Server) -> None:
    s3 = stocked.s3
    assert code(s3.get_object, **PLACE, **KEY) == "NotImplemented"
    assert code(s3.head_object, **PLACE, **KEY) == "501"
    upload = s3.create_multipart_upload(**ELSEWHERE)["UploadId"]
    assert code(s3.upload_part, **ELSEWHERE, UploadId=upload, PartNumber=1, Body=b"x", **KEY) == "NotImplemented"
    assert "Parts" not in s3.list_parts(**ELSEWHERE, UploadId=upload)
    s3.abort_multipart_upload(**ELSEWHERE, UploadId=upload)
    source = {f"CopySource{name}": value for name, value in KEY.items()}
    assert code(s3.copy_object, **ELSEWHERE, CopySource=PLACE, **source) == "NotImplemented"
    assert unchanged(stocked)


def test_bucket_of_another_account_is_not_this_one(stocked: Server) -> None:
    s3, other = stocked.s3, {"ExpectedBucketOwner": "111111111111"}
    assert code(s3.delete_object, **PLACE, **other) == "AccessDenied"
    assert code(s3.delete_objects, Bucket="things", Delete={"Objects": [{"Key": "kept"}]}, **other) == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket="things", **other) == "AccessDenied"
    assert code(s3.delete_bucket, Bucket="renditions", **other) == "AccessDenied"
    assert code(s3.copy_object, **ELSEWHERE, CopySource=PLACE, ExpectedSourceBucketOwner="111111111111") == "AccessDenied"
    assert unchanged(stocked) and code(s3.head_bucket, Bucket="renditions", ExpectedBucketOwner="000000000000") == ""


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"ACL": "public-read"}, "InvalidBucketAclWithObjectOwnership"),
        ({"GrantRead": "id=other"}, "InvalidBucketAclWithObjectOwnership"),
        ({"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}, "IllegalLocationConstraintException"),
        ({"CreateBucketConfiguration": {"Location": {"Type": "AvailabilityZone", "Name": "a"}}}, "NotImplemented"),
        ({"ObjectLockEnabledForBucket": True}, "NotImplemented"),
        ({"ObjectOwnership": "ObjectWriter"}, "NotImplemented"),
        ({"BucketNamespace": "account-regional"}, "NotImplemented"),
    ],
    ids=str,
)  # fmt: skip
def test_bucket_is_made_as_asked_or_not(stocked: Server, asked: dict, expected: str) -> None:
    assert code(stocked.s3.create_bucket, Bucket="asked", **asked) == expected
    assert code(stocked.s3.head_bucket, Bucket="asked") == "404"


def test_wishes_that_change_nothing_are_taken(stocked: Server) -> None:
    s3 = stocked.s3
    s3.create_bucket(Bucket="plain", ACL="private", ObjectLockEnabledForBucket=False, ObjectOwnership="BucketOwnerEnforced")
    place = {"Bucket": "plain", "Key": "k"}
    s3.put_object(**place, Body=b"x", ACL="bucket-owner-full-control", StorageClass="STANDARD", RequestPayer="requester", ExpectedBucketOwner="000000000000")
    s3.delete_object(**place, BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket="plain")


def test_encryption_by_the_server_is_told_back(stocked: Server) -> None:
    s3, asked, place = stocked.s3, {"ServerSideEncryption": "AES256"}, {"Bucket": "things", "Key": "sse/k"}
    assert s3.put_object(**place, Body=b"x", **asked)["ServerSideEncryption"] == "AES256"
    assert s3.get_object(**place)["ServerSideEncryption"] == s3.head_object(**place)["ServerSideEncryption"] == "AES256"
    copy = {"Bucket": "things", "Key": "sse/copy"}
    assert "ServerSideEncryption" not in s3.copy_object(**copy, CopySource=place)
    assert "ServerSideEncryption" not in s3.head_object(**copy)
    assert s3.copy_object(**copy, CopySource=PLACE, **asked)["ServerSideEncryption"] == "AES256"
    upload = s3.create_multipart_upload(**place, **asked)
    part = s3.upload_part(**place, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
    done = s3.complete_multipart_upload(**place, UploadId=upload["UploadId"], MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    assert [answer["ServerSideEncryption"] for answer in (upload, part, done, s3.head_object(**place))] == ["AES256"] * 4
    assert "ServerSideEncryption" not in s3.put_object(**place, Body=b"x")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("acl", "public-read", "AccessControlListNotSupported"),
        ("x-amz-storage-class", "GLACIER", "InvalidStorageClass"),
        ("x-amz-server-side-encryption", "aws:kms", "NotImplemented"),
        ("x-amz-server-side-encryption-customer-key", "k" * 32, "NotImplemented"),
        ("x-amz-website-redirect-location", "/elsewhere", "NotImplemented"),
        ("x-amz-object-lock-mode", "GOVERNANCE", "InvalidRequest"),
        ("x-amz-checksum-sha512", "x", "NotImplemented"),
        ("x-amz-meta-long", "v" * 2048, "MetadataTooLarge"),
    ],
)  # fmt: skip
def test_form_is_served_as_asked_or_not(stocked: Server, field: str, value: str, expected: str) -> None:
    made = stocked.s3.generate_presigned_post("things", "made", Fields={field: value}, Conditions=[{field: value}])
    answer = send(stocked, "POST", made["url"], *form(made["fields"], b"x"))
    assert answer.code == expected, answer
    assert unchanged(stocked)


def test_conditions_of_a_copy_hold_for_its_target(stocked: Server) -> None:
    s3, target = stocked.s3, {"Bucket": "things", "Key": "conditions/target"}
    copy = {**target, "CopySource": PLACE}
    assert code(s3.copy_object, **copy, IfMatch="*") == "NoSuchKey"
    etag = s3.put_object(**target, Body=b"old", IfNoneMatch="*")["ETag"]
    assert code(s3.copy_object, **copy, IfNoneMatch="*") == "PreconditionFailed"
    assert code(s3.copy_object, **copy, IfMatch='"other"') == "PreconditionFailed"
    assert s3.get_object(**target)["Body"].read() == b"old"
    assert code(s3.copy_object, **copy, IfMatch=etag) == ""
    assert s3.get_object(**target)["Body"].read() == b"kept"
    s3.delete_object(**target)
    assert code(s3.copy_object, **copy, IfNoneMatch="*") == ""


def test_conditions_of_a_deletion_hold_for_each_key(stocked: Server) -> None:
    s3 = stocked.s3
    keys = [f"deletions/{name}" for name in ("right", "wrong", "size", "date", "any", "plain")]
    etags = {key: s3.put_object(Bucket="things", Key=key, Body=b"123")["ETag"] for key in keys}
    told = s3.head_object(Bucket="things", Key=keys[0])["LastModified"]
    wishes = [
        {"Key": keys[0], "ETag": etags[keys[0]], "Size": 3, "LastModifiedTime": told},
        {"Key": keys[1], "ETag": '"other"'},
        {"Key": keys[2], "Size": 4},
        {"Key": keys[3], "LastModifiedTime": told + datetime.timedelta(days=1)},
        {"Key": keys[4], "ETag": "*"},
        {"Key": keys[5]},
        {"Key": "deletions/none", "ETag": "*"},
        {"Key": "deletions/none"},
    ]
    answer = s3.delete_objects(Bucket="things", Delete={"Objects": wishes})
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [(key, "PreconditionFailed") for key in keys[1:4]] + [("deletions/none", "NoSuchKey")]
    assert {deleted["Key"] for deleted in answer["Deleted"]} == {keys[0], keys[4], keys[5], "deletions/none"}
    assert server_keys(stocked) == sorted(keys[1:4])
    for wrong in ({"IfMatch": '"other"'}, {"IfMatchSize": 4}, {"IfMatchLastModifiedTime": told + datetime.timedelta(days=1)}):
        assert code(s3.delete_object, Bucket="things", Key=keys[1], **wrong) == "PreconditionFailed"
    assert code(s3.delete_object, Bucket="things", Key=keys[1], IfMatch=etags[keys[1]], IfMatchSize=3) == ""
    assert server_keys(stocked) == sorted(keys[2:4])


def server_keys(server: Server) -> list[str]:
    return sorted(server.keys("things", "deletions/"))


def test_documents_are_what_their_digests_say(stocked: Server) -> None:
    document = b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>kept</Key></Object></Delete>'
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    for headers, expected in (
        ({"content-md5": wrong}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
        ({"content-md5": ""}, "InvalidDigest"),
        ({"x-amz-checksum-sha512": "x"}, "NotImplemented"),
        ({"x-amz-sdk-checksum-algorithm": "XXHASH64"}, "NotImplemented"),
    ):
        path = "/things?delete="
        answer = send(stocked, "POST", path, signed(stocked, "POST", path, headers, document), document)
        assert answer.code == expected, answer
    assert unchanged(stocked)


@pytest.mark.parametrize("name", ["sha512", "md5", "xxhash64", "xxhash3", "xxhash128"])
def test_checksums_that_are_not_compared_are_refused(stocked: Server, name: str) -> None:
    for headers in ({f"x-amz-checksum-{name}": "x"}, {"x-amz-trailer": f"x-amz-checksum-{name}"}):
        answer = send(stocked, "PUT", "/things/made", signed(stocked, "PUT", "/things/made", headers, b"x"), b"x")
        assert answer.code == "NotImplemented", answer
    assert unchanged(stocked)
