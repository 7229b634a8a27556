"""Probes an S3 endpoint as a stock client does.

Reads AWS_ENDPOINT_URL and the credentials from the environment. Prints one line per probe and exits with status 1 if one fails.
Each probe creates a bucket of its own and deletes it afterwards, so existing buckets are safe.
"""

import base64
import concurrent.futures
import hashlib
import os
import sys
import urllib.error
import urllib.request
import uuid
import zlib

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["AWS_ENDPOINT_URL"]
FUNCTION = os.environ.get("S3_PROBE_FUNCTION", "encode")
MIB = 1 << 20
PROBES = []


def client():
    config = Config(signature_version="s3v4", retries={"max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=40)
    return boto3.client("s3", endpoint_url=ENDPOINT, region_name="us-east-1", config=config)


S3 = client()


def probe(function):
    PROBES.append(function)
    return function


def code(call, **arguments):
    """Returns the error's code and HTTP status, or `OK` and 200."""
    try:
        call(**arguments)
        return "OK", 200
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def body(bucket, key, **more):
    return S3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def empty(bucket):
    for upload in S3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        S3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in S3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", []):
            S3.delete_object(Bucket=bucket, Key=found["Key"])
    S3.delete_bucket(Bucket=bucket)


def keys(bucket, **more):
    pages = S3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **more)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def begin(bucket, key, **more):
    return {"Bucket": bucket, "Key": key, "UploadId": S3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]}


def part(upload, number, content, **more):
    answer = S3.upload_part(**upload, PartNumber=number, Body=content, **more)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def listed(*parts):
    return {"Parts": list(parts)}


@probe
def p01_a_key_and_keys_below_it(bucket):
    S3.put_object(Bucket=bucket, Key="a", Body=b"1")
    S3.put_object(Bucket=bucket, Key="a/b", Body=b"2")
    equal((body(bucket, "a"), body(bucket, "a/b")), (b"1", b"2"))


@probe
def p02_long_keys(bucket):
    for key in ["k" * 170, "/".join(["n" * 59] * 10), "é" * 512]:
        S3.put_object(Bucket=bucket, Key=key, Body=b"x")
        equal(body(bucket, key), b"x")
    equal(code(S3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"x"), ("KeyTooLongError", 400))
    equal(len(keys(bucket)), 3)


@probe
def p03_keys_are_taken_literally(bucket):
    odd = ["d/../e", "./x", "//y", "a b+c", "ü🏖.mp4", "q?x=1&y#z%20", "trailing/"]
    for key in odd:
        S3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    equal(keys(bucket), sorted(odd, key=str.encode))
    for key in odd:
        equal(body(bucket, key), key.encode())


@probe
def p04_a_wrong_md5_leaves_nothing(bucket):
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    equal(code(S3.put_object, Bucket=bucket, Key="k", Body=b"x", ContentMD5=wrong), ("BadDigest", 400))
    equal(code(S3.get_object, Bucket=bucket, Key="k"), ("NoSuchKey", 404))
    S3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())


@probe
def p05_a_wrong_checksum_leaves_nothing(bucket):
    for name, size in [("CRC32", 4), ("CRC32C", 4), ("CRC64NVME", 8), ("SHA1", 20), ("SHA256", 32)]:
        wrong = {f"Checksum{name}": base64.b64encode(b"\1" * size).decode()}
        equal(code(S3.put_object, Bucket=bucket, Key="k", Body=b"x", **wrong), ("BadDigest", 400))
        equal(code(S3.get_object, Bucket=bucket, Key="k"), ("NoSuchKey", 404))


@probe
def p05b_checksums_are_stored_and_returned(bucket):
    right = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    equal(S3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm="CRC32")["ChecksumCRC32"], right)
    equal(S3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumCRC32"], right)
    for name in ["CRC32", "SHA1", "SHA256"]:
        S3.put_object(Bucket=bucket, Key=name, Body=b"hello", ChecksumAlgorithm=name)
        assert f"Checksum{name}" in S3.get_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED"), name


@probe
def p06_one_winner_of_many_creations(bucket):
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        for turn in range(5):
            put = lambda index: code(S3.put_object, Bucket=bucket, Key=f"k{turn}", Body=b"%d" % index, IfNoneMatch="*")[1]
            statuses = sorted(pool.map(put, range(32)))
            equal(statuses, [200] + [412] * 31)


@probe
def p07_conditional_puts(bucket):
    etag = S3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    equal(code(S3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*"), ("PreconditionFailed", 412))
    equal(code(S3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch='"0"'), ("PreconditionFailed", 412))
    equal(code(S3.put_object, Bucket=bucket, Key="k", Body=b"2", IfMatch=etag), ("OK", 200))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        etag = S3.head_object(Bucket=bucket, Key="k")["ETag"]
        put = lambda index: code(S3.put_object, Bucket=bucket, Key="k", Body=b"%d!" % index, IfMatch=etag)[1]
        equal(sorted(pool.map(put, range(8))), [200] + [412] * 7)


@probe
def p08_conditional_reads(bucket):
    etag = S3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    for call in [S3.get_object, S3.head_object]:
        equal(code(call, Bucket=bucket, Key="k", IfNoneMatch=etag)[1], 304)
        equal(code(call, Bucket=bucket, Key="k", IfMatch='"0"')[1], 412)
        equal(code(call, Bucket=bucket, Key="k", IfMatch=etag)[1], 200)


@probe
def p09_part_numbers_may_have_gaps(bucket):
    upload = begin(bucket, "k")
    one, three = part(upload, 1, b"1" * 5 * MIB), part(upload, 3, b"3")
    etag = S3.complete_multipart_upload(**upload, MultipartUpload=listed(one, three))["ETag"]
    sums = hashlib.md5(b"1" * 5 * MIB).digest() + hashlib.md5(b"3").digest()
    equal(etag, f'"{hashlib.md5(sums).hexdigest()}-2"')
    equal(body(bucket, "k"), b"1" * 5 * MIB + b"3")
    equal(body(bucket, "k", Range=f"bytes={5 * MIB - 1}-"), b"13")
    equal(body(bucket, "k", PartNumber=3), b"3")


@probe
def p10_wrong_completions(bucket):
    upload = begin(bucket, "k")
    one, two = part(upload, 1, b"1"), part(upload, 2, b"2")
    complete = lambda *parts: code(S3.complete_multipart_upload, **upload, MultipartUpload=listed(*parts))
    equal(complete({**one, "ETag": '"0"'}), ("InvalidPart", 400))
    equal(complete({**one, "PartNumber": 7}), ("InvalidPart", 400))
    equal(complete(two, one), ("InvalidPartOrder", 400))
    equal(complete(one, two), ("EntityTooSmall", 400))
    equal(code(S3.get_object, Bucket=bucket, Key="k"), ("NoSuchKey", 404))


@probe
def p11_completions_can_be_retried(bucket):
    upload = begin(bucket, "k")
    one = part(upload, 1, b"1")
    equal(code(S3.complete_multipart_upload, **upload, MultipartUpload=listed({**one, "ETag": '"0"'}))[1], 400)
    first = S3.complete_multipart_upload(**upload, MultipartUpload=listed(one))
    again = S3.complete_multipart_upload(**upload, MultipartUpload=listed(one))
    equal(again["ETag"], first["ETag"])
    equal(code(S3.list_parts, **upload), ("NoSuchUpload", 404))


@probe
def p12_multipart_checksums(bucket):
    for algorithm, kind in [("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE")]:
        upload = begin(bucket, "k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
        parts = []
        for number, content in [(1, b"1" * 5 * MIB), (2, b"2")]:
            answer = S3.upload_part(**upload, PartNumber=number, Body=content, ChecksumAlgorithm=algorithm)
            name = f"Checksum{algorithm}"
            parts.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
        done = S3.complete_multipart_upload(**upload, MultipartUpload=listed(*parts), ChecksumType=kind)
        head = S3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        equal((head["ChecksumType"], head[name]), (kind, done[name]))
        if kind == "FULL_OBJECT":
            crc = zlib.crc32(b"1" * 5 * MIB + b"2").to_bytes(4, "big")
            equal(head[name], base64.b64encode(crc).decode())
        else:
            assert head[name].endswith("-2"), head[name]


@probe
def p13_body_metadata_and_etag_agree(bucket):
    def put(index):
        content = b"%d" % index * (index + 1) * 1000
        S3.put_object(Bucket=bucket, Key="k", Body=content, Metadata={"md5": hashlib.md5(content).hexdigest()})

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(put, index) for index in range(30)]
        puts[0].result()
        for _ in range(30):
            answer = S3.get_object(Bucket=bucket, Key="k")
            digest = hashlib.md5(answer["Body"].read()).hexdigest()
            equal((answer["ETag"], answer["Metadata"]["md5"]), (f'"{digest}"', digest))
        [done.result() for done in puts]


@probe
def p14_what_other_back_ends_lack(bucket):
    S3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=1")
    upload = begin(bucket, "m")
    part(upload, 1, b"1")
    equal([one["Key"] for one in S3.list_multipart_uploads(Bucket=bucket)["Uploads"]], ["m"])
    equal([one["Size"] for one in S3.list_parts(**upload)["Parts"]], [1])
    S3.abort_multipart_upload(**upload)
    equal(code(S3.list_parts, **upload), ("NoSuchUpload", 404))
    equal(S3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], [{"Key": "a", "Value": "1"}])
    S3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    equal(S3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], [{"Key": "b", "Value": "2"}])
    S3.delete_object_tagging(Bucket=bucket, Key="k")
    equal(S3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"], [])
    told = S3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum"])
    equal((told["ObjectSize"], told["ETag"].strip('"')), (1, hashlib.md5(b"x").hexdigest()))
    equal(S3.get_bucket_location(Bucket=bucket)["LocationConstraint"], None)
    assert "Status" not in S3.get_bucket_versioning(Bucket=bucket)
    equal(S3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"], "FULL_CONTROL")


@probe
def p14b_notification_rules(bucket):
    def rules(function):
        rule = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".mp4"}]}}
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        one = {"Id": "r", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": rule}
        return {"Bucket": bucket, "NotificationConfiguration": {"LambdaFunctionConfigurations": [one]}}

    put = S3.put_bucket_notification_configuration
    equal(code(put, **rules("nobody-knows-it")), ("InvalidArgument", 400))
    put(**rules(FUNCTION))
    told = S3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    equal((told[0]["Id"], told[0]["Events"]), ("r", ["s3:ObjectCreated:*"]))
    put(Bucket=bucket, NotificationConfiguration={})
    assert "LambdaFunctionConfigurations" not in S3.get_bucket_notification_configuration(Bucket=bucket)


@probe
def p15_preflights_follow_the_buckets_cors_rules(bucket):
    rule = {"AllowedOrigins": ["http://app"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"]}
    equal(code(S3.get_bucket_cors, Bucket=bucket), ("NoSuchCORSConfiguration", 404))
    S3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    equal(S3.get_bucket_cors(Bucket=bucket)["CORSRules"], [rule])

    def send(method, origin, url, data=None):
        headers = {"Origin": origin}
        if method == "OPTIONS":
            headers |= {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
        request = urllib.request.Request(url, method=method, headers=headers, data=data)
        try:
            answer = urllib.request.urlopen(request)
            return answer.status, answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.headers

    status, headers = send("OPTIONS", "http://app", f"{ENDPOINT}/{bucket}/k")
    equal((status, headers["Access-Control-Allow-Origin"]), (200, "http://app"))
    equal(send("OPTIONS", "http://evil", f"{ENDPOINT}/{bucket}/k")[0], 403)
    url = S3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    status, headers = send("PUT", "http://app", url, b"x")
    equal((status, headers["Access-Control-Expose-Headers"]), (200, "ETag"))
    S3.delete_bucket_cors(Bucket=bucket)
    equal(send("OPTIONS", "http://app", f"{ENDPOINT}/{bucket}/k")[0], 403)


@probe
def p16_etags_in_lists(bucket):
    etag = S3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    for call in [S3.list_objects, S3.list_objects_v2]:
        equal([one["ETag"] for one in call(Bucket=bucket)["Contents"]], [etag])


@probe
def p17_pages_of_a_list(bucket):
    names = sorted(f"{folder}/{index}" for folder in "abc" for index in range(7))
    for name in names:
        S3.put_object(Bucket=bucket, Key=name, Body=b"")
    equal(keys(bucket, PaginationConfig={"PageSize": 4}), names)
    equal(keys(bucket, Prefix="b/", StartAfter="b/3"), names[11:14])
    for call in ["list_objects", "list_objects_v2"]:
        pages = S3.get_paginator(call).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
        equal([one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])], ["a/", "b/", "c/"])
    equal([one["Key"] for one in S3.list_objects(Bucket=bucket, Marker="c/5")["Contents"]], ["c/6"])


@probe
def p18_ranges_copies_and_presigned_urls(bucket):
    S3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", Metadata={"a": "1"}, ContentType="text/x", CacheControl="no-store")
    equal(body(bucket, "k", Range="bytes=2-4"), b"234")
    equal(body(bucket, "k", Range="bytes=-2"), b"89")
    equal(S3.get_object(Bucket=bucket, Key="k", Range="bytes=8-99")["ContentRange"], "bytes 8-9/10")
    equal(code(S3.get_object, Bucket=bucket, Key="k", Range="bytes=10-")[1], 416)
    parameters = {"Bucket": bucket, "Key": "k", "ResponseContentType": "video/mp4"}
    answer = urllib.request.urlopen(S3.generate_presigned_url("get_object", Params=parameters))
    equal((answer.read(), answer.headers["Content-Type"]), (b"0123456789", "video/mp4"))
    S3.copy_object(Bucket=bucket, Key="c d+é", CopySource={"Bucket": bucket, "Key": "k"})
    copied = S3.get_object(Bucket=bucket, Key="c d+é")
    equal((copied["Metadata"], copied["ContentType"], copied["CacheControl"]), ({"a": "1"}, "text/x", "no-store"))
    replace = {"CopySource": {"Bucket": bucket, "Key": "k"}, "MetadataDirective": "REPLACE", "Metadata": {"b": "2"}}
    S3.copy_object(Bucket=bucket, Key="k", **replace)
    equal((S3.head_object(Bucket=bucket, Key="k")["Metadata"], body(bucket, "k")), ({"b": "2"}, b"0123456789"))
    upload = begin(bucket, "m")
    copy = S3.upload_part_copy(**upload, PartNumber=1, CopySource={"Bucket": bucket, "Key": "k"}, CopySourceRange="bytes=3-5")
    one = {"PartNumber": 1, "ETag": copy["CopyPartResult"]["ETag"]}
    S3.delete_object(Bucket=bucket, Key="k")
    S3.complete_multipart_upload(**upload, MultipartUpload=listed(one))
    equal(body(bucket, "m"), b"345")
    gone = S3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "m"}, {"Key": "never"}]})
    equal(sorted(one["Key"] for one in gone["Deleted"]), ["m", "never"])
    equal(keys(bucket), ["c d+é"])


@probe
def p19_a_big_object_comes_back(bucket):
    content = os.urandom(MIB) * 32
    S3.put_object(Bucket=bucket, Key="k", Body=content)
    equal(hashlib.md5(body(bucket, "k")).hexdigest(), hashlib.md5(content).hexdigest())


@probe
def p20_buckets_and_strangers(bucket):
    equal(code(S3.head_bucket, Bucket=bucket)[1], 200)
    equal(code(S3.head_bucket, Bucket="no-such-bucket-here")[1], 404)
    equal(code(S3.put_object, Bucket="no-such-bucket-here", Key="k", Body=b""), ("NoSuchBucket", 404))
    S3.put_object(Bucket=bucket, Key="k", Body=b"")
    equal(body(bucket, "k"), b"")
    equal(code(S3.delete_bucket, Bucket=bucket), ("BucketNotEmpty", 409))
    assert bucket in [one["Name"] for one in S3.list_buckets()["Buckets"]]
    stranger = boto3.client(
        "s3", endpoint_url=ENDPOINT, aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1"
    )
    equal(code(stranger.list_buckets)[1], 403)


def main():
    wanted = sys.argv[1:]
    failed = 0
    for function in PROBES:
        if wanted and not any(function.__name__.startswith(name) for name in wanted):
            continue
        bucket = f"probe-{uuid.uuid4()}"
        S3.create_bucket(Bucket=bucket)
        try:
            function(bucket)
            print(f"ok      {function.__name__}")
        except Exception as error:  # whatever fails in a probe is reported on its line
            failed += 1
            print(f"FAILED  {function.__name__}: {type(error).__name__}: {error}")
        finally:
            empty(bucket)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
