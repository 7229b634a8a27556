"""What is set about buckets, and what S3 answers where nothing is: versions, tags, lists, lifecycles."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from harness import Server, eventually
from plain_http import Answer, form, send
from test_s3_refusals import code

KEYS = ["a", "b/1", "b/2", "b/c/3", "día/x y", "z"]


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    server.s3.create_bucket(Bucket="settings")
    for key in KEYS:
        server.s3.put_object(Bucket="settings", Key=key, Body=key.encode())
    return server


@pytest.fixture
def bucket(stocked: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A bucket of the test's own."""
    name = request.node.originalname.replace("_", "-")[:60].rstrip("-")
    stocked.s3.create_bucket(Bucket=name)
    yield name


# ---- versions


def versions(s3: object, **asked: object) -> list[str]:
    """All keys and common prefixes, in the order of the pages."""
    found = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket="settings", **asked):
        assert "DeleteMarkers" not in page
        for version in page.get("Versions", []):
            assert (version["VersionId"], version["IsLatest"], version["StorageClass"]) == ("null", True, "STANDARD")
            found.append(version["Key"])
        found += [prefix["Prefix"] for prefix in page.get("CommonPrefixes", [])]
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_each_object_has_one_version(stocked: Server, size: int) -> None:
    page = {"PaginationConfig": {"PageSize": size}}
    assert versions(stocked.s3, **page) == KEYS
    assert versions(stocked.s3, Prefix="b/", **page) == ["b/1", "b/2", "b/c/3"]
    assert sorted(versions(stocked.s3, Delimiter="/", **page)) == ["a", "b/", "día/", "z"]
    assert sorted(versions(stocked.s3, Prefix="b/", Delimiter="/", **page)) == ["b/1", "b/2", "b/c/"]


def test_markers_of_versions(stocked: Server) -> None:
    s3 = stocked.s3
    page = s3.list_object_versions(Bucket="settings", MaxKeys=2)
    assert (page["NextKeyMarker"], page["NextVersionIdMarker"], page["IsTruncated"]) == ("b/1", "null", True)
    rest = s3.list_object_versions(Bucket="settings", KeyMarker="b/1", VersionIdMarker="null")
    assert [version["Key"] for version in rest["Versions"]] == KEYS[2:]
    common = s3.list_object_versions(Bucket="settings", MaxKeys=2, Delimiter="/")
    assert common["NextKeyMarker"] == "b/" and "NextVersionIdMarker" not in common
    assert s3.list_object_versions(Bucket="settings", MaxKeys=0).get("Versions", []) == []
    for wrong in ({"VersionIdMarker": "null"}, {"KeyMarker": "a", "VersionIdMarker": "3sL4kqtJ"}, {"EncodingType": "x"}):
        assert code(s3.list_object_versions, Bucket="settings", **wrong) == "InvalidArgument", wrong
    assert code(s3.list_object_versions, Bucket="missing") == "NoSuchBucket"


def test_null_version_is_the_object(stocked: Server, bucket: str) -> None:
    s3, place = stocked.s3, {"Bucket": bucket, "Key": "k"}
    s3.put_object(**place, Body=b"x")
    null = {**place, "VersionId": "null"}
    assert s3.get_object(**null)["VersionId"] == s3.head_object(**null)["VersionId"] == "null"
    assert "VersionId" not in s3.head_object(**place)
    assert s3.copy_object(Bucket=bucket, Key="copy", CopySource=null)["CopyObjectResult"]["ETag"]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy", "VersionId": "null"}]})["Deleted"]
    assert deleted == [{"Key": "copy", "VersionId": "null"}]
    assert s3.delete_object(**null)["VersionId"] == "null"
    assert code(s3.head_object, **place) == "404"
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


# ---- what was never set


ABSENT = {
    "get_bucket_tagging": "NoSuchTagSet",
    "get_bucket_policy": "NoSuchBucketPolicy",
    "get_bucket_policy_status": "NoSuchBucketPolicy",
    "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
    "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "get_bucket_website": "NoSuchWebsiteConfiguration",
    "get_bucket_replication": "ReplicationConfigurationNotFoundError",
    "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    "get_bucket_cors": "NoSuchCORSConfiguration",
}
ABSENT_BY_ID = ("analytics", "intelligent_tiering", "inventory", "metrics")


@pytest.mark.parametrize("read", ABSENT)
def test_what_was_never_set_is_not_found(stocked: Server, read: str) -> None:
    with pytest.raises(ClientError) as refusal:
        getattr(stocked.s3, read)(Bucket="settings")
    answer = refusal.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (ABSENT[read], 404)
    assert code(getattr(stocked.s3, read), Bucket="missing") == "NoSuchBucket"


@pytest.mark.parametrize("kind", ABSENT_BY_ID)
def test_lists_of_configurations_are_empty(stocked: Server, kind: str) -> None:
    s3 = stocked.s3
    listed = getattr(s3, f"list_bucket_{kind}_configurations")(Bucket="settings")
    assert listed["IsTruncated"] is False and not [name for name in listed if name.endswith("List")]
    one = getattr(s3, f"get_bucket_{kind}_configuration")
    assert code(one, Bucket="settings", Id="x") == "NoSuchConfiguration"


def test_defaults_are_told(stocked: Server) -> None:
    s3, named = stocked.s3, {"Bucket": "settings"}
    assert "LoggingEnabled" not in s3.get_bucket_logging(**named)
    assert "Status" not in s3.get_bucket_accelerate_configuration(**named)
    assert s3.get_bucket_request_payment(**named)["Payer"] == "BucketOwner"
    rules = s3.get_bucket_ownership_controls(**named)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    for read in (s3.get_object_retention, s3.get_object_legal_hold):
        assert code(read, **named, Key="a") == "InvalidRequest"
        assert code(read, **named, Key="missing") == "NoSuchKey"


def test_deleting_what_was_never_set_changes_nothing(stocked: Server) -> None:
    s3 = stocked.s3
    for kind in ("tagging", "policy", "lifecycle", "website", "replication", "encryption", "cors"):
        answer = getattr(s3, f"delete_bucket_{kind}")(Bucket="settings")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204, kind
        assert code(getattr(s3, f"delete_bucket_{kind}"), Bucket="missing") == "NoSuchBucket"
    assert s3.delete_public_access_block(Bucket="settings")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert stocked.keys("settings") == KEYS


# ---- what every new bucket has


def test_access_block_of_a_new_bucket_can_be_deleted(stocked: Server, bucket: str) -> None:
    s3 = stocked.s3
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == dict.fromkeys(names, True)
    s3.delete_public_access_block(Bucket=bucket)
    with pytest.raises(ClientError) as refusal:
        s3.get_public_access_block(Bucket=bucket)
    answer = refusal.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("NoSuchPublicAccessBlockConfiguration", 404)
    s3.create_bucket(Bucket=bucket)
    assert code(s3.get_public_access_block, Bucket=bucket) == "NoSuchPublicAccessBlockConfiguration", "it is no new bucket"


def test_owner_owns_all_objects(stocked: Server, bucket: str) -> None:
    s3, enforced = stocked.s3, {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    for kind, expected in (("BucketOwnerPreferred", "NotImplemented"), ("ObjectWriter", "NotImplemented"), ("Nobody", "MalformedXML")):
        controls = {"Rules": [{"ObjectOwnership": kind}]}
        assert code(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=controls) == expected, kind
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == enforced
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert code(s3.get_bucket_ownership_controls, Bucket=bucket) == "OwnershipControlsNotFoundError"
    assert code(s3.put_bucket_acl, Bucket=bucket, ACL="public-read") == "AccessControlListNotSupported"
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=enforced)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == enforced
    for ask in (s3.get_bucket_ownership_controls, s3.delete_bucket_ownership_controls):
        assert code(ask, Bucket="missing") == "NoSuchBucket"
    assert code(s3.put_bucket_ownership_controls, Bucket="missing", OwnershipControls=enforced) == "NoSuchBucket"


# ---- what can be set


def test_versioning_can_be_suspended_and_not_enabled(stocked: Server, bucket: str) -> None:
    s3 = stocked.s3
    for wrong, expected in (
        ({"Status": "Enabled"}, "NotImplemented"),
        ({"Status": "Suspended", "MFADelete": "Enabled"}, "NotImplemented"),
        ({"Status": "suspended"}, "MalformedXML"),
        ({"MFADelete": "Disabled"}, "IllegalVersioningConfigurationException"),
    ):
        assert code(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=wrong) == expected, wrong
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
    assert code(s3.put_bucket_versioning, Bucket="missing", VersioningConfiguration={"Status": "Suspended"}) == "NoSuchBucket"
    assert code(s3.get_bucket_versioning, Bucket="missing") == "NoSuchBucket"
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    s3.delete_object(Bucket=bucket, Key="k")
    assert not {"Versions", "DeleteMarkers"} & set(s3.list_object_versions(Bucket=bucket))


def test_bucket_is_created_with_tags(stocked: Server) -> None:
    s3, tags = stocked.s3, [{"Key": "team & co", "Value": "<films>"}, {"Key": "empty", "Value": ""}]
    s3.create_bucket(Bucket="tagged-when-new", CreateBucketConfiguration={"Tags": tags})
    assert s3.get_bucket_tagging(Bucket="tagged-when-new")["TagSet"] == tags
    other = {"Tags": [{"Key": "other", "Value": "x"}]}
    s3.create_bucket(Bucket="tagged-when-new", CreateBucketConfiguration=other)
    assert s3.get_bucket_tagging(Bucket="tagged-when-new")["TagSet"] == tags, "it is no new bucket"
    twice = {"Tags": [tags[0], tags[0]]}
    assert code(s3.create_bucket, Bucket="tagged-twice", CreateBucketConfiguration=twice) == "InvalidTag"
    assert code(s3.head_bucket, Bucket="tagged-twice") == "404"


def test_tags_of_a_bucket_are_stored(stocked: Server, bucket: str) -> None:
    s3, tags = stocked.s3, [{"Key": f"k {number}", "Value": f"v/{number}"} for number in range(50)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    more = [*tags, {"Key": "one more", "Value": ""}]
    assert code(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": more}) == "InvalidTag"
    assert code(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": [tags[0], tags[0]]}) == "InvalidTag"
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    assert code(s3.get_bucket_tagging, Bucket=bucket) == "NoSuchTagSet"


def test_only_the_owners_own_list_is_taken(stocked: Server) -> None:
    s3, named, place = stocked.s3, {"Bucket": "settings"}, {"Bucket": "settings", "Key": "a"}
    for read, put, where in ((s3.get_bucket_acl, s3.put_bucket_acl, named), (s3.get_object_acl, s3.put_object_acl, place)):
        told = read(**where)
        owner = told["Owner"]["ID"]
        assert [(grant["Grantee"]["ID"], grant["Permission"]) for grant in told["Grants"]] == [(owner, "FULL_CONTROL")]
        own = {"Owner": {"ID": owner}, "Grants": [{"Grantee": {"Type": "CanonicalUser", "ID": owner}, "Permission": "FULL_CONTROL"}]}
        put(**where, ACL="private")
        put(**where, AccessControlPolicy=own)
        everyone = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
        more = {**own, "Grants": [*own["Grants"], {"Grantee": everyone, "Permission": "READ"}]}
        for refused in ({"ACL": "public-read"}, {"GrantRead": "id=other"}, {"AccessControlPolicy": more}):
            assert code(put, **where, **refused) == "AccessControlListNotSupported", refused
        assert read(**where)["Grants"] == told["Grants"]
    s3.put_object_acl(**place, ACL="bucket-owner-full-control")
    assert code(s3.put_object_acl, Bucket="settings", Key="missing", ACL="private") == "NoSuchKey"
    assert code(s3.get_object_acl, Bucket="settings", Key="missing") == "NoSuchKey"


# ---- lifecycles


def rules(bucket: str, *given: dict) -> dict[str, object]:
    return {"Bucket": bucket, "LifecycleConfiguration": {"Rules": [{"Status": "Enabled", **rule} for rule in given]}}


def test_lifecycle_comes_back_as_it_was_put(stocked: Server, bucket: str) -> None:
    s3 = stocked.s3
    midnight = datetime.datetime(2031, 5, 1, tzinfo=datetime.UTC)
    given = rules(
        bucket,
        {"ID": "tmp", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
        {"ID": "dated", "Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Date": midnight}},
        {"ID": "sized", "Filter": {"And": {"Prefix": "x", "ObjectSizeGreaterThan": 5, "Tags": [{"Key": "c", "Value": ""}]}}, "Expiration": {"Days": 9}},
        {"ID": "old", "Prefix": "old/", "Expiration": {"Days": 1}, "Status": "Disabled"},
        {"ID": "versions", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 7}},
        {"ID": "markers", "Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}},
    )
    s3.put_bucket_lifecycle_configuration(**given)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == given["LifecycleConfiguration"]["Rules"]
    s3.delete_bucket_lifecycle(Bucket=bucket)
    assert code(s3.get_bucket_lifecycle_configuration, Bucket=bucket) == "NoSuchLifecycleConfiguration"


DAYS = {"Expiration": {"Days": 1}}
NOON = datetime.datetime(2031, 5, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ([{"Filter": {}, "Expiration": {"Days": 0}}], "InvalidArgument"),
        ([{"Filter": {}, "Expiration": {"Date": NOON}}], "InvalidArgument"),
        ([{"Filter": {}, "Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}], "MalformedXML"),
        ([{"ID": "x", "Filter": {}, **DAYS}, {"ID": "x", "Filter": {"Prefix": "a"}, **DAYS}], "InvalidArgument"),
        ([{"ID": "x" * 256, "Filter": {}, **DAYS}], "InvalidArgument"),
        ([{"Filter": {}}], "InvalidRequest"),
        ([DAYS], "MalformedXML"),
        ([{"Filter": {}, "Status": "enabled", **DAYS}], "MalformedXML"),
        ([{"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}], "InvalidRequest"),
        ([{"Filter": {}, "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]}], "NotImplemented"),
        ([{"Filter": {}, "NoncurrentVersionTransitions": [{"NoncurrentDays": 1, "StorageClass": "GLACIER"}]}], "NotImplemented"),
    ],
    ids=str,
)  # fmt: skip
def test_lifecycle_that_cannot_be_done_is_refused(stocked: Server, wrong: list[dict], expected: str) -> None:
    assert code(stocked.s3.put_bucket_lifecycle_configuration, **rules("settings", *wrong)) == expected
    assert code(stocked.s3.get_bucket_lifecycle_configuration, Bucket="settings") == "NoSuchLifecycleConfiguration"


def form_answer(server: Server, bucket: str, key: str) -> Answer:
    """The answer to an upload by a browser's form."""
    made = server.s3.generate_presigned_post(bucket, key)
    return send(server, "POST", made["url"], *form(made["fields"], b"x"))


def test_answers_tell_when_an_object_expires(stocked: Server, bucket: str) -> None:
    s3, place = stocked.s3, {"Bucket": bucket, "Key": "tmp/a"}
    s3.put_bucket_lifecycle_configuration(
        **rules(bucket, {"ID": "tmp files", "Filter": {"Prefix": "tmp/"}, **DAYS, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2}})
    )
    put = s3.put_object(**place, Body=b"x")
    today = datetime.datetime.now(datetime.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [(today + datetime.timedelta(days=number)).strftime("%a, %d %b %Y %H:%M:%S GMT") for number in (1, 2)]
    assert put["Expiration"] in [f'expiry-date="{day}", rule-id="tmp%20files"' for day in days]
    assert s3.head_object(**place)["Expiration"] == s3.get_object(**place)["Expiration"] == put["Expiration"]
    assert "Expiration" not in s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    copied = {"CopySource": {"Bucket": bucket, "Key": "kept"}}
    assert s3.copy_object(**place, **copied)["Expiration"] == put["Expiration"]
    assert "Expiration" not in s3.copy_object(Bucket=bucket, Key="kept too", **copied)
    for key in ("tmp/parts", "kept in parts"):
        upload = {"Bucket": bucket, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]}
        etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
        parts = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
        for _ in range(2):
            assert s3.complete_multipart_upload(**upload, **parts).get("Expiration") == (put["Expiration"] if key == "tmp/parts" else None)
    assert form_answer(stocked, bucket, "tmp/form").headers["x-amz-expiration"] == put["Expiration"]
    assert "x-amz-expiration" not in form_answer(stocked, bucket, "kept form").headers
    upload = s3.create_multipart_upload(**place)
    assert upload["AbortRuleId"] == "tmp files" and upload["AbortDate"] - today >= datetime.timedelta(days=2)


def test_expired_objects_go_at_the_start(fresh_server: Server) -> None:
    s3 = fresh_server.start().s3
    s3.create_bucket(Bucket="short")
    for key in ("tmp/a", "tmp/b", "kept"):
        s3.put_object(Bucket="short", Key=key, Body=b"x")
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    s3.put_bucket_lifecycle_configuration(**rules("short", {"ID": "gone", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Date": past}}))
    assert fresh_server.keys("short") == ["kept", "tmp/a", "tmp/b"]
    fresh_server.stop()
    fresh_server.start()
    eventually(lambda: fresh_server.keys("short") == ["kept"], 20, "expired objects gone")
    assert "removed expired objects" in fresh_server.log()
