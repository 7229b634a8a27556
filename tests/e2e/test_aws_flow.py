"""Does the AWS deployment in deploy/ work? The template is deployed to an AWS emulator that runs the real functions;
abanico stands in for MediaConvert, and reads from and writes to the emulator's S3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from aws_emulator import ACCOUNT, REGION, SECRET, Emulator, credentials
from clips import Clip, Clips
from harness import Server, bucket_tables, eventually
from transcoding import Expected, check_rendition

FILM = Clip(width=1280, height=720, rate="24000/1001", frames=48)
STACK = "films"
UPLOADS, RENDITIONS = f"{STACK}-uploads-{ACCOUNT}-{REGION}", f"{STACK}-renditions-{ACCOUNT}-{REGION}"
FLOW_SECONDS = 120


@dataclass
class Deployment:
    """The emulator with the deployed stack, abanico behind it, and a queue subscribed to each topic."""

    aws: Emulator
    mediaconvert: Server
    outputs: dict[str, str]

    def received(self, topic: str, job_or_key: str) -> dict:
        """Waits for the notification on a topic that names a job or key."""
        sqs = self.aws.client("sqs")
        queue = sqs.get_queue_url(QueueName=f"listens-{topic}")["QueueUrl"]
        seen: list[dict] = []

        def found() -> dict | None:
            got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
            seen[:] = [json.loads(json.loads(message["Body"])["Message"]) for message in got]
            return next((message for message in seen if job_or_key in json.dumps(message, ensure_ascii=False)), None)

        return eventually(found, FLOW_SECONDS, f"{job_or_key} on {topic}; there was {seen}")

    def dead_letters(self) -> list[dict]:
        """Returns the messages in the dead-letter queue."""
        sqs = self.aws.client("sqs")
        queue = sqs.get_queue_url(QueueName=f"{STACK}-dead-letters")["QueueUrl"]
        got = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        )
        return got.get("Messages", [])


def config(endpoint: str) -> str:
    """Returns abanico's configuration, with its buckets on the emulator's S3 and its events on the emulator's bus."""
    buckets = bucket_tables(UPLOADS, RENDITIONS, "own-uploads", remote=endpoint, region=REGION)
    return (
        f'region = "{REGION}"\ntrigger = []\n{buckets}[[event_bus]]\nname = "default"\nendpoint = "{endpoint}"\n'
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Emulator, abanico and stack, all running; stopped afterwards with all their processes."""
    folder = tmp_path_factory.mktemp("aws")
    aws = Emulator(folder / "emulator").start()
    server = Server(folder / "abanico", config(aws.endpoint), environment=credentials(), key_pair=(ACCOUNT, SECRET))
    try:
        server.start()
        aws.upload_functions("code", "v1/")
        outputs = aws.deploy(STACK, parameters(server))
        sqs, sns = aws.client("sqs"), aws.client("sns")
        for topic in ("finished", "failed"):
            queue = sqs.create_queue(QueueName=f"listens-{topic}")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            sns.subscribe(TopicArn=outputs[f"{topic.capitalize()}TopicArn"], Protocol="sqs", Endpoint=arn)
        yield Deployment(aws, server, outputs)
    finally:
        server.end()
        aws.end()


def parameters(server: Server, **more: str) -> dict[str, str]:
    """Returns the parameters of a deployment that uses abanico as MediaConvert."""
    return {
        "FunctionsBucket": "code",
        "FunctionsPrefix": "v1/",
        "MediaConvertEndpoint": server.endpoint,
    } | more


def test_upload_gives_renditions_manifest_and_notification(
    deployment: Deployment, clips: Clips, tmp_path: Path
) -> None:
    s3 = deployment.aws.client("s3")
    key = "films/día de playa + 1.mp4"
    s3.put_object(Bucket=UPLOADS, Key=key, Body=clips.file(FILM).read_bytes())
    notice = deployment.received("finished", key)
    folder = f"{key}/"
    keys = sorted(one["Key"] for one in s3.list_objects_v2(Bucket=RENDITIONS, Prefix=folder)["Contents"])
    stem = f"{folder}día de playa + 1"
    sizes = {"_1080p": (1920, 1080), "_720p": (1280, 720), "_480p": (640, 480)}
    assert keys == sorted([*(f"{stem}{name}.mp4" for name in sizes), f"{folder}manifest.json"])
    manifest = json.loads(s3.get_object(Bucket=RENDITIONS, Key=f"{folder}manifest.json")["Body"].read())
    assert manifest["source"] == f"s3://{UPLOADS}/{key}"
    assert notice["manifest"] == f"s3://{RENDITIONS}/{folder}manifest.json"
    assert notice["job"] == manifest
    for output in manifest["outputs"]:
        path = output["path"].removeprefix(f"s3://{RENDITIONS}/")
        file = tmp_path / "rendition.mp4"
        s3.download_file(RENDITIONS, path, str(file))
        assert output["sizeInBytes"] == file.stat().st_size
        assert (output["videoCodec"], output["audioCodec"], output["container"]) == ("H_264", "AAC", "MP4")
        size = sizes[path.removeprefix(stem).removesuffix(".mp4")]
        assert (output["widthInPx"], output["heightInPx"]) == size
        check_rendition(file, size, Expected(sizes={}, rate=Fraction(FILM.rate), frames=48, has_sound=True))
    jobs = deployment.mediaconvert.jobs_of(key, UPLOADS)
    assert len(jobs) == 1
    assert jobs[0]["UserMetadata"]["abanico-stack"] == STACK


def test_failed_job_is_announced_with_its_reason(deployment: Deployment) -> None:
    s3 = deployment.aws.client("s3")
    s3.put_object(Bucket=UPLOADS, Key="no-film.mp4", Body=b"this is a text and no film")
    notice = deployment.received("failed", "no-film.mp4")
    assert notice["errorCode"] == 1010
    assert "cannot be read as video" in notice["whatToDo"]
    assert "Contents" not in s3.list_objects_v2(Bucket=RENDITIONS, Prefix="no-film.mp4/")


def test_upload_that_is_no_video_starts_nothing(deployment: Deployment, clips: Clips) -> None:
    s3 = deployment.aws.client("s3")
    s3.put_object(Bucket=UPLOADS, Key="notes.txt", Body=b"notes")
    s3.put_object(Bucket=UPLOADS, Key="after-notes.MP4", Body=clips.file(FILM).read_bytes())
    deployment.received("finished", "after-notes.MP4")
    assert deployment.mediaconvert.jobs_of("notes.txt", UPLOADS) == []


def test_invalid_event_becomes_a_dead_letter(deployment: Deployment) -> None:
    answer = deployment.aws.client("lambda").invoke(
        FunctionName=f"{STACK}-transcode-video", Payload=json.dumps({"records": "none"})
    )
    assert json.loads(answer["Payload"].read()) == {"records": [], "deadLettered": True}
    letters = deployment.dead_letters()
    assert [json.loads(letter["Body"]) for letter in letters] == [{"records": "none"}]
    assert "`Records` is missing" in letters[0]["MessageAttributes"]["reason"]["StringValue"]


def test_existing_bucket_gains_and_loses_its_notification(
    deployment: Deployment, clips: Clips
) -> None:
    aws = deployment.aws
    s3, sqs = aws.client("s3"), aws.client("sqs")
    s3.create_bucket(Bucket="own-uploads")
    queue = sqs.create_queue(QueueName="other-listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    others = [{"Id": "others", "QueueArn": arn, "Events": ["s3:ObjectRemoved:*"]}]
    s3.put_bucket_notification_configuration(
        Bucket="own-uploads", NotificationConfiguration={"QueueConfigurations": others}
    )
    more = {
        "UploadBucketName": "own-uploads",
        "UseExistingUploadBucket": "true",
        "OutputBucketName": RENDITIONS,
        "UseExistingOutputBucket": "true",
        "UploadPrefix": "in/",
        "Destination": f"s3://{RENDITIONS}/own/{{stem}}/",
    }
    aws.deploy("existing", parameters(deployment.mediaconvert, **more))
    both = s3.get_bucket_notification_configuration(Bucket="own-uploads")
    assert [one["Id"] for one in both["QueueConfigurations"]] == ["others"]
    (ours,) = both["LambdaFunctionConfigurations"]
    assert ours["Filter"]["Key"]["FilterRules"][0]["Value"] == "in/"
    s3.put_object(Bucket="own-uploads", Key="in/a.mp4", Body=clips.file(FILM).read_bytes())
    job = deployment.mediaconvert.wait_job("in/a.mp4", "own-uploads")
    assert job["Status"] == "COMPLETE", job
    aws.client("cloudformation").delete_stack(StackName="existing")

    def alone() -> bool:
        left = s3.get_bucket_notification_configuration(Bucket="own-uploads")
        return "LambdaFunctionConfigurations" not in left and len(left["QueueConfigurations"]) == 1

    eventually(alone, 60, "only the other notification is left")


def test_removing_the_stack_keeps_the_buckets(deployment: Deployment) -> None:
    aws = deployment.aws
    cloudformation, s3 = aws.client("cloudformation"), aws.client("s3")
    cloudformation.delete_stack(StackName=STACK)

    def gone() -> bool:
        stacks = cloudformation.describe_stacks()["Stacks"]
        return not any(one["StackName"] == STACK and one["StackStatus"] != "DELETE_COMPLETE" for one in stacks)

    eventually(gone, 60, "the stack is removed")
    names = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert {UPLOADS, RENDITIONS} <= names
    functions = {one["FunctionName"] for one in aws.client("lambda").list_functions()["Functions"]}
    assert not any(name.startswith(STACK) for name in functions)
