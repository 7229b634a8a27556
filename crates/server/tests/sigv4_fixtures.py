"""Writes sigv4_fixtures.json: requests signed by botocore, with the verdict that a server must reach.

Run `python3 sigv4_fixtures.py` in this folder after changing a case. Clock, keys and order are fixed, so the
same botocore writes the same bytes. The keys are made up.
"""

import datetime
import json
import pathlib
from urllib.parse import urlsplit

import boto3
import botocore.auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 3, 14, 23, 59, 30, tzinfo=datetime.timezone.utc)
KEY, SECRET = "AKIDFIXTURE000000001", "fixture/Secret+key0000000000000000000001"
ARN = "arn%3Aaws%3Amediaconvert%3Aeu-west-1%3A111122223333%3Aqueues%2Fnight%20shift"
HOST = "http://127.0.0.1:4566"
fixtures = []


def add(name, method, url, headers, body, verdict="ok", later_s=0, service="mediaconvert"):
    split = urlsplit(url)
    headers = [[key.lower(), value] for key, value in headers]
    if not any(key == "host" for key, _ in headers):
        headers.append(["host", split.netloc])
    target = split.path + ("?" + split.query if split.query else "")
    fixtures.append({
        "name": name, "method": method, "target": target or "/", "headers": headers, "body": body,
        "now_epoch_s": int(NOW.timestamp()) + later_s, "access_key": KEY, "secret_key": SECRET,
        "expected_service": service, "verdict": verdict,
    })


def signed(name, method, path, headers=(), body="", query=None, token=None, secret=SECRET, service="mediaconvert",
           context=None, host=HOST, **more):
    """Signs with botocore's own signers: in the header, or in the query if `query` (the expiry in seconds) is given."""
    request = AWSRequest(method=method, url=host + path, data=body.encode())
    for key, value in headers:
        request.headers.add_header(key, value)
    request.context.update(context or {})
    credentials = Credentials(KEY, secret, token)
    if query:
        botocore.auth.SigV4QueryAuth(credentials, service, "eu-west-1", query).add_auth(request)
    else:
        botocore.auth.SigV4Auth(credentials, service, "eu-west-1").add_auth(request)
    add(name, method, request.url, request.headers.items(), body, **more)


def sent_by_client(name, operation, **arguments):
    """Captures the request that the real client would send."""
    client = boto3.client(
        "mediaconvert", endpoint_url=HOST, region_name="eu-west-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET)

    class Body:
        def read(self, *_):
            return b"{}"

        def stream(self, *_, **__):
            yield b"{}"

    def keep(request, **_):
        text = {key: value.decode() if isinstance(value, bytes) else value for key, value in request.headers.items()}
        wanted = {key: value for key, value in text.items() if key.lower() not in ("user-agent", "amz-sdk-invocation-id")}
        body = request.body or b""
        add(name, request.method, request.url, wanted.items(), body if isinstance(body, str) else body.decode())
        return AWSResponse(request.url, 200, {}, Body())

    client.meta.events.register("before-send.mediaconvert", keep)
    getattr(client, operation)(**arguments)


botocore.auth.get_current_datetime = lambda *_, **__: NOW.replace(tzinfo=None)
JSON = ("Content-Type", "application/json")
JOB = {"Inputs": [{"FileInput": "s3://uploads/my holiday+1 \U0001f3ac.mp4"}]}

sent_by_client("client_create_job", "create_job", Role="arn:aws:iam::111122223333:role/r", Settings=JOB,
               ClientRequestToken="0123456789abcdef", UserMetadata={"name": "caf\u00e9"})
sent_by_client("client_list_jobs", "list_jobs", MaxResults=5, NextToken="a b+c/d=&e", Order="DESCENDING")
sent_by_client("client_get_queue_with_space", "get_queue", Name="night shift/\u6620\u753b")
sent_by_client("client_list_tags", "list_tags_for_resource",
               Arn="arn:aws:mediaconvert:eu-west-1:111122223333:queues/night shift")
sent_by_client("client_tag_resource", "tag_resource", Arn="arn:aws:mediaconvert:eu-west-1:111122223333:jobs/1-a",
               Tags={"team": "n\u00e9ws"})
sent_by_client("client_cancel_job", "cancel_job", Id="1711111111111-abcdef")

for form, expiry in (("header", None), ("query", 300)):
    signed(f"{form}_root", "GET", "/", query=expiry)
    signed(f"{form}_arn_in_path", "GET", f"/2017-08-29/tags/{ARN}", query=expiry)
    signed(f"{form}_plain_colons_in_path", "GET", "/2017-08-29/tags/arn:aws:mediaconvert::x", query=expiry)
    signed(f"{form}_unicode_in_path", "GET", "/2017-08-29/queues/caf%C3%A9%20%F0%9F%8E%AC", query=expiry)
    signed(f"{form}_dots_and_double_slashes", "GET", "/a/./b//c/../d/", query=expiry)
    signed(f"{form}_percent_of_percent", "GET", "/a%2525b%2Bc", query=expiry)
    signed(f"{form}_query_to_sort", "GET", "/q?b=2&a=%C3%A9&A=1&a-b=x&flag=", query=expiry)
    signed(f"{form}_query_with_reserved", "GET", "/q?next=a%20b%2Bc%2Fd%3D%26e&arn=arn%3Aaws%3Ax", query=expiry)
    signed(f"{form}_blanks_in_header", "GET", "/", [("X-Note", "  a   b  c ")], query=expiry)
    signed(f"{form}_header_twice", "GET", "/", [("X-Note", "b"), ("X-Note", " a  c ")], query=expiry)
    signed(f"{form}_session_token", "GET", "/x", token="Token/with+signs==", query=expiry)
    signed(f"{form}_host_without_port", "GET", "/x", host="https://mediaconvert.eu-west-1.amazonaws.com", query=expiry)
    signed(f"{form}_wrong_secret", "GET", "/x", secret=SECRET[:-1] + "2", query=expiry, verdict="SignatureMismatch")
    signed(f"{form}_other_service", "GET", "/x", service="sqs", query=expiry, verdict="ScopeMismatch")
    signed(f"{form}_callers_clock_too_fast", "GET", "/x", query=expiry, later_s=-901, verdict="Expired")
    signed(f"{form}_callers_clock_fast", "GET", "/x", query=expiry, later_s=-900)

signed("header_repeated_query_name", "GET", "/q?tag=b&tag=a&tag=a%20c")
signed("header_post", "POST", "/2017-08-29/jobs", [JSON], '{"role": "r", "name": "caf\u00e9 \U0001f3ac"}')
signed("header_post_empty", "POST", "/2017-08-29/jobs", [JSON])
signed("header_date_instead_of_x_amz_date", "GET", "/x", [("Date", "to be replaced")])
signed("header_unsigned_payload", "POST", "/x", [JSON], "{}", context={"payload_signing_enabled": False},
       host="https://mediaconvert.eu-west-1.amazonaws.com")
signed("header_callers_clock_slow", "GET", "/x", later_s=900)
signed("header_callers_clock_too_slow", "GET", "/x", later_s=901, verdict="Expired")
signed("query_at_its_end", "GET", "/x", query=300, later_s=300)
signed("query_after_its_end", "GET", "/x", query=300, later_s=301, verdict="Expired")
signed("query_a_day_later", "GET", "/x", query=604800, later_s=86400)

path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(fixtures, indent=1, ensure_ascii=True) + "\n")
