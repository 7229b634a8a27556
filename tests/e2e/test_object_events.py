"""Events of objects reach queues, topics, a bus and webhooks as S3 sends them; what waits for a receiver is shown and sent again.

One stand-in answers for SQS, SNS, EventBridge and a webhook, and keeps what it gets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import botocore.exceptions
import pytest
from harness import Server, binary, eventually
from test_operations import commands_environment, fetch

QUEUE = "arn:aws:sqs:us-east-1:000000000000:films"
TOPIC = "arn:aws:sns:us-east-1:000000000000:removals"
SECRET = "a secret of both"
ANSWERS = {
    "sqs": b'{"MessageId": "1", "MD5OfMessageBody": "0"}',
    "sns": b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
    "events": b'{"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}',
    "hook": b"",
}


class StandIn:
    """The receivers. Those in `down` answer 503."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict, str]] = []
        self.down: set[str] = set()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                signed = self.headers.get("authorization", "")
                service = next((name for name in ("sqs", "sns", "events") if f"/us-east-1/{name}/aws4_request" in signed), "hook")
                is_up = service not in stand_in.down
                if is_up:
                    stand_in.got.append((service, dict(self.headers), body))
                self.send_response(200 if is_up else 503)
                answer = ANSWERS[service] if is_up else b""
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def messages(self, service: str) -> list[dict]:
        """The documents that a service got."""
        bodies = [body for name, _, body in self.got if name == service]
        if service == "sqs":
            return [json.loads(json.loads(body)["MessageBody"]) for body in bodies]
        if service == "sns":
            return [json.loads(parse_qs(body)["Message"][0]) for body in bodies]
        if service == "events":
            return [json.loads(body)["Entries"][0] for body in bodies]
        return [json.loads(body) for body in bodies]

    def told(self, service: str) -> list[tuple[str, str]]:
        """Names and keys of the events that a service got."""
        records = [message["Records"][0] for message in self.messages(service) if "Records" in message]
        return [(record["eventName"], record["s3"]["object"]["key"]) for record in records]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    """The receivers."""
    receivers = StandIn()
    yield receivers
    receivers.http.shutdown()


@pytest.fixture(scope="module")
def notifying(stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may notify the stand-in."""
    config = f"""
trigger = []
[[bucket]]
name = "media"
[[bucket]]
name = "other"
[notifications]
sqs_endpoint = "{stand_in.url}"
sns_endpoint = "{stand_in.url}"
events_endpoint = "{stand_in.url}"
[[webhook]]
url = "{stand_in.url}/hook?key=hidden"
secret = "{SECRET}"
jobs = false
objects = ["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"]
bucket = "other"
suffix = ".mp4"
"""
    keys = {"AWS_ACCESS_KEY_ID": "AKIDOFOTHERS", "AWS_SECRET_ACCESS_KEY": "another secret"}
    server = Server(tmp_path_factory.mktemp("notifying"), config, keys).start()
    yield server
    server.end()


def test_each_receiver_gets_its_events_as_s3_sends_them(notifying: Server, stand_in: StandIn) -> None:
    s3 = notifying.s3
    rules = {
        "QueueConfigurations": [
            {
                "Id": "q", "QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".mp4"}]}},
            }
        ],
        "TopicConfigurations": [{"Id": "t", "TopicArn": TOPIC, "Events": ["s3:ObjectRemoved:*"]}],
        "EventBridgeConfiguration": {},
    }  # fmt: skip
    s3.put_bucket_notification_configuration(Bucket="media", NotificationConfiguration=rules)
    stored = s3.get_bucket_notification_configuration(Bucket="media")
    assert stored["EventBridgeConfiguration"] == {}
    assert stored["TopicConfigurations"] == rules["TopicConfigurations"]
    names = {rule["Name"].lower() for rule in stored["QueueConfigurations"][0]["Filter"]["Key"]["FilterRules"]}
    assert names == {"prefix", "suffix"}

    s3.put_object(Bucket="media", Key="in/a b.mp4", Body=b"film")
    s3.put_object(Bucket="media", Key="in/a.txt", Body=b"text")
    s3.copy_object(Bucket="media", Key="in/c.mp4", CopySource="media/in/a b.mp4")
    s3.delete_objects(Bucket="media", Delete={"Objects": [{"Key": "in/a b.mp4"}, {"Key": "in/c.mp4"}, {"Key": "never"}]})
    s3.delete_object(Bucket="media", Key="in/a.txt")
    eventually(lambda: len(stand_in.told("sns")) == 3 and len(stand_in.messages("events")) == 6, 30, "all events arrive")
    assert stand_in.told("sqs") == [("ObjectCreated:Put", "in/a+b.mp4"), ("ObjectCreated:Copy", "in/c.mp4")]
    assert {key for _, key in stand_in.told("sns")} == {"in/a+b.mp4", "in/c.mp4", "in/a.txt"}
    tried = [message for service in ("sqs", "sns") for message in stand_in.messages(service) if message.get("Event") == "s3:TestEvent"]
    assert [message["Bucket"] for message in tried] == ["media", "media"], "as S3 does, each new queue and topic is tried"
    queued = next(json.loads(body) for service, _, body in stand_in.got if service == "sqs")
    assert queued["QueueUrl"] == f"{stand_in.url}/000000000000/films", "the queue is where the operator says"
    kinds = [(entry["DetailType"], json.loads(entry["Detail"])["reason"]) for entry in stand_in.messages("events")]
    assert kinds.count(("Object Deleted", "DeleteObject")) == 3 and ("Object Created", "CopyObject") in kinds
    details = [json.loads(entry["Detail"]) for entry in stand_in.messages("events") if entry["DetailType"] == "Object Created"]
    first = next(detail for detail in details if detail["reason"] == "PutObject" and detail["object"]["key"].endswith(".mp4"))
    assert (first["object"]["key"], first["object"]["size"], first["bucket"]["name"]) == ("in/a b.mp4", 4, "media")


def test_only_what_the_operator_configured_is_reached(notifying: Server, server: Server) -> None:
    def refused(of: Server, **rules: object) -> str:
        with pytest.raises(botocore.exceptions.ClientError) as error:
            of.s3.put_bucket_notification_configuration(Bucket=BUCKETS[of is server], NotificationConfiguration=rules)
        assert error.value.response["Error"]["Code"] == "InvalidArgument"
        return error.value.response["Error"]["Message"]

    text = "Unable to validate the following destination configurations"
    queue = {"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]}
    assert refused(server, QueueConfigurations=[queue]).startswith(text)
    assert "events_endpoint" in refused(server, EventBridgeConfiguration={})
    elsewhere = {**queue, "QueueArn": "arn:aws:sqs:eu-west-1:000000000000:films"}
    assert refused(notifying, QueueConfigurations=[elsewhere]).startswith(text)
    address = {**queue, "QueueArn": "http://169.254.169.254/latest/meta-data"}
    assert refused(notifying, QueueConfigurations=[address]).startswith(text)


BUCKETS = {False: "media", True: "uploads"}


def test_no_event_fits_two_rules_of_a_client(notifying: Server) -> None:
    def rule(name: str, event: str, prefix: str, suffix: str) -> dict:
        filters = [{"Name": "prefix", "Value": prefix}, {"Name": "suffix", "Value": suffix}]
        return {name: ARNS[name], "Events": [event], "Filter": {"Key": {"FilterRules": [one for one in filters if one["Value"]]}}}

    def put(queue: tuple[str, str, str], topic: tuple[str, str, str]) -> str:
        rules = {"QueueConfigurations": [rule("QueueArn", *queue)], "TopicConfigurations": [rule("TopicArn", *topic)]}
        try:
            notifying.s3.put_bucket_notification_configuration(Bucket="media", NotificationConfiguration=rules)
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidArgument"
            return error.response["Error"]["Message"].split(".")[0]
        return "taken"

    created, removed = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
    overlap, ambiguous = "Configurations overlap", "Configuration is ambiguously defined"
    assert put((created, "a/", ".mp4"), (created, "b/", ".mp4")) == "taken"
    assert put((created, "a/", ".mp4"), (created, "a/", ".mov")) == "taken"
    assert put((created, "", ""), (removed, "", "")) == "taken"
    assert put((created, "", ""), ("s3:ObjectCreated:Copy", "", "")) == overlap
    assert put((created, "a/", ""), (created, "a/b/", ".mp4")) == ambiguous
    assert put((created, "", "p4"), (created, "a/", ".mp4")) == ambiguous
    notifying.s3.put_bucket_notification_configuration(Bucket="media", NotificationConfiguration={})


ARNS = {"QueueArn": QUEUE, "TopicArn": TOPIC}


def test_webhook_backlog_is_seen_and_sent_again_by_hand(notifying: Server, stand_in: StandIn) -> None:
    stand_in.down = {"hook"}
    for number in range(3):
        notifying.s3.put_object(Bucket="other", Key=f"{number}.mp4", Body=b"film")
    notifying.s3.put_object(Bucket="other", Key="note.txt", Body=b"text")
    notifying.s3.delete_object(Bucket="other", Key="0.mp4")
    words = [str(binary()), "receivers", "--data", str(notifying.data)]

    def run(*more: str) -> str:
        done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=30, env=commands_environment(notifying))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hook() -> dict:
        return next(one for one in map(json.loads, run().splitlines()) if one["id"].startswith("webhook:"))

    behind = eventually(lambda: hook() if hook()["lastError"] else None, 30, "the first delivery fails")
    assert behind["waiting"] == 4 and "503" in behind["lastError"] and "hidden" not in json.dumps(behind)
    status, ready = fetch(notifying, "/readyz")
    assert status == 200 and "/hook is behind: 4 events wait" in ready, ready
    metrics = fetch(notifying, "/metrics")[1]
    assert f'abanico_webhook_backlog{{receiver="{stand_in.url}/hook",events="objects"}} 4' in metrics

    stand_in.down = set()
    run("redeliver", behind["id"])
    eventually(lambda: len(stand_in.told("hook")) == 4, 30, "all events arrive")
    created = [("ObjectCreated:Put", f"{number}.mp4") for number in range(3)]
    assert stand_in.told("hook") == [*created, ("ObjectRemoved:Delete", "0.mp4")], "in order"
    for _, headers, body in [one for one in stand_in.got if one[0] == "hook"]:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
        wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{wanted}"
    eventually(lambda: hook()["waiting"] == 0, 30, "nothing waits any more")
    assert "is behind" not in fetch(notifying, "/readyz")[1]
    unknown = subprocess.run([*words, "redeliver", "nobody"], capture_output=True, text=True, timeout=30, env=commands_environment(notifying))
    assert unknown.returncode == 1 and "`nobody` does not exist" in unknown.stderr, unknown.stderr


def test_receivers_without_a_server_are_told_with_the_remedy(tmp_path: Path) -> None:
    done = subprocess.run([str(binary()), "receivers", "--data", str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "abanico serve" in done.stderr, done.stderr
