"""Is every operation of S3 either served or refused with 501, and does a refusal leave everything as it was?"""

from __future__ import annotations

import datetime
import re

import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import ListShape, OperationModel, Shape, StructureShape
from botocore.session import get_session
from harness import WORKSPACE, Server
from plain_http import send, signed

MODEL = get_session().get_service_model("s3")
# Old names of served operations: on the wire they are the same requests.
OLD_NAMES = {"GetBucketNotification", "PutBucketNotification", "GetBucketLifecycle", "PutBucketLifecycle"}


def documented() -> set[str]:
    """The operations that COMPATIBILITY.md says are served."""
    text = (WORKSPACE / "docs" / "COMPATIBILITY.md").read_text()
    block = re.search(r"^Served operations: (.*?)\.$", text, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"\w+", block[1]))


def value(shape: Shape, name: str = "") -> object:
    """The smallest value of a shape."""
    if isinstance(shape, StructureShape) and shape.is_tagged_union:
        member = next(iter(shape.members))
        return {member: value(shape.members[member], member)}
    if isinstance(shape, StructureShape):
        return {member: value(shape.members[member], member) for member in shape.required_members}
    if isinstance(shape, ListShape):
        return [value(shape.member)]
    kinds = {"boolean": True, "timestamp": datetime.datetime(2030, 1, 1), "blob": b"x", "map": {}}
    if shape.type_name in kinds:
        return kinds[shape.type_name]
    if shape.type_name in ("integer", "long", "float", "double"):
        return 1
    # Of these values, only one is served.
    served = {"ObjectOwnership": "BucketOwnerEnforced"}
    return {"CopySource": "kept/kept", "RenameSource": "/kept/kept", **served}.get(name) or (shape.enum or ["x" * shape.metadata.get("min", 1)])[0]


def arguments(operation: OperationModel, bucket: str) -> dict[str, object]:
    """The smallest request for an operation on an object of a bucket."""
    shape = operation.input_shape
    if shape is None:
        return {}
    given = value(shape)
    given.update({name: target for name, target in (("Bucket", bucket), ("Key", "kept")) if name in shape.members})
    # A document without which the request is not the operation that it names.
    payload = shape.serialization.get("payload")
    if payload and payload not in given:
        given[payload] = value(shape.members[payload])
    return given


def called(read: object, **given: object) -> object:
    """What a read answers, without what differs from one answer to the next, or the code of its refusal."""
    try:
        return {key: told for key, told in read(**given).items() if key != "ResponseMetadata"}
    except ClientError as refusal:
        return refusal.response["Error"]["Code"]


def state(server: Server) -> dict[str, object]:
    """All that a request could change."""
    s3 = server.s3
    buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    found = s3.get_object(Bucket="kept", Key="kept")
    return {
        "buckets": buckets,
        "keys": {bucket: [(item["Key"], item["ETag"]) for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])] for bucket in buckets},
        "uploads": [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket="kept").get("Uploads", [])],
        "object": (found["Body"].read(), found["ContentType"], found["Metadata"], found["LastModified"]),
        "tags": s3.get_object_tagging(Bucket="kept", Key="kept")["TagSet"],
        "cors": s3.get_bucket_cors(Bucket="kept")["CORSRules"],
        "acl": s3.get_bucket_acl(Bucket="kept")["Grants"],
        "settings": [called(read, Bucket="kept") for read in (s3.get_bucket_tagging, s3.get_bucket_policy, s3.get_public_access_block, s3.get_bucket_lifecycle_configuration)],
        "notifications": {key: rules for key, rules in s3.get_bucket_notification_configuration(Bucket="kept").items() if key != "ResponseMetadata"},
    }


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    """A server with a bucket whose every property is set, and a client that does not put words into host names."""
    s3 = server.s3
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="kept", Body=b"kept", ContentType="video/mp4", Metadata={"a": "b"}, Tagging="t=1")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["http://app"]}
    s3.put_bucket_cors(Bucket="kept", CORSConfiguration={"CORSRules": [rule]})
    s3.create_multipart_upload(Bucket="kept", Key="begun")
    return server


def answer(server: Server, operation: str, bucket: str) -> tuple[int, str]:
    """Sends the smallest request and returns status and code."""
    s3 = server.client("s3", config=Config(signature_version="s3v4", inject_host_prefix=False, s3={"addressing_style": "path"}))
    call = getattr(s3, xform_name(operation))
    try:
        return call(**arguments(MODEL.operation_model(operation), bucket))["ResponseMetadata"]["HTTPStatusCode"], ""
    except ClientError as refusal:
        return refusal.response["ResponseMetadata"]["HTTPStatusCode"], refusal.response["Error"]["Code"]


def test_documentation_names_known_operations() -> None:
    assert len(documented()) > 25 and documented() <= set(MODEL.operation_names)


@pytest.mark.parametrize("operation", sorted(set(MODEL.operation_names) - documented() - OLD_NAMES))
def test_unserved_operation_changes_nothing(stocked: Server, operation: str) -> None:
    before = state(stocked)
    assert answer(stocked, operation, "kept") == (501, "NotImplemented")
    assert state(stocked) == before


@pytest.mark.parametrize("operation", sorted(documented() | OLD_NAMES))
def test_served_operation_is_there(stocked: Server, operation: str) -> None:
    bucket = "served-" + operation.lower()
    stocked.s3.create_bucket(Bucket=bucket)
    stocked.s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    status, code = answer(stocked, operation, bucket)
    assert status < 500 and code != "NotImplemented", code


def marks(names: set[str]) -> set[str]:
    """The names in queries that tell these operations from others."""
    queries = [MODEL.operation_model(name).http["requestUri"].partition("?")[2] for name in names]
    return {mark.partition("=")[0] for query in queries for mark in query.split("&")} - {""}


def is_like(operation: OperationModel, method: str, path: str) -> bool:
    """Whether an operation has this method, and is about a bucket or an object as the path is."""
    return operation.http["method"] == method and ("{Key+}" in operation.http["requestUri"]) == (path.count("/") > 1)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/kept", "/kept/kept"])
def test_foreign_subresource_changes_nothing(stocked: Server, method: str, path: str) -> None:
    own = marks({name for name in documented() if is_like(MODEL.operation_model(name), method, path)})
    before = state(stocked)
    for mark in sorted(marks(set(MODEL.operation_names)) - own):
        headers = signed(stocked, method, f"{path}?{mark}", {"content-type": "text/xml"}, b"<a/>" if method in ("PUT", "POST") else b"")
        got = send(stocked, method, f"{path}?{mark}", headers, b"<a/>" if method in ("PUT", "POST") else b"")
        assert (got.status, got.code) == (501, "NotImplemented"), f"{method} {path}?{mark}: {got}"
    assert state(stocked) == before
