"""Does the job service behave like MediaConvert for boto3, the AWS CLI and plain HTTP?"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server, eventually
from shared_media import NTSC_24
from transcoding import THREE_PRESETS, Expected, check_rendition

SHORT = Clip(width=1280, height=720, frames=50)
LONG = Clip(width=1920, height=1080, frames=300)
TINY = Clip(width=320, height=180, frames=25)
ROLE = "arn:aws:iam::123456789012:role/MediaConvert"
ARN_START = "arn:aws:mediaconvert:us-east-1:"


@pytest.fixture(scope="module")
def sources(server: Server, clips: Clips) -> str:
    """The URL of a bucket that holds the clips and has no trigger."""
    server.s3.create_bucket(Bucket="sources")
    for name, clip in (("short.mp4", SHORT), ("long.mp4", LONG), ("tiny.mp4", TINY)):
        server.s3.upload_file(str(clips.file(clip)), "sources", name)
    return "s3://sources/"


def request(source: str, destination: str, presets: list[str] | None = None) -> dict:
    """Returns a CreateJob request with one file group. `presets` defaults to the three MP4 presets."""
    outputs = [{"Preset": preset, "NameModifier": f"_{n}"} for n, preset in enumerate(presets or THREE_PRESETS)]
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    group = {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": destination}}
    settings = {
        "Inputs": [{"FileInput": source, "AudioSelectors": selectors}],
        "OutputGroups": [{"Name": "File Group", "OutputGroupSettings": group, "Outputs": outputs}],
    }
    return {"Role": ROLE, "Settings": settings}


def refused(error: pytest.ExceptionInfo) -> tuple[int, str, str]:
    """Returns the status, code and message of a refused call."""
    response = error.value.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return status, response["Error"]["Code"], response["Error"].get("Message", "")


@pytest.fixture(scope="module")
def done(server: Server, sources: str) -> dict:
    """A finished job with the three presets, as GetJob returns it."""
    created = server.mediaconvert.create_job(**request(f"{sources}short.mp4", "s3://renditions/three/"))["Job"]
    assert created["Status"] in ("SUBMITTED", "PROGRESSING")
    return server.wait_status(created["Id"])


def test_three_presets_give_three_outputs(server: Server, done: dict, tmp_path: Path) -> None:
    assert done["Status"] == "COMPLETE", done
    frames = round(SHORT.seconds * NTSC_24)
    for number, size in enumerate(THREE_PRESETS.values()):
        file = server.download(f"three/short_{number}.mp4", tmp_path / f"{number}.mp4")
        check_rendition(file, size, Expected(sizes={}, rate=NTSC_24, frames=frames, has_sound=True))


def test_get_job_looks_like_mediaconvert(done: dict) -> None:
    assert done["Arn"].startswith(ARN_START) and done["Arn"].endswith(f":jobs/{done['Id']}")
    assert done["Role"] == ROLE
    assert done["JobPercentComplete"] == 100
    sizes = [detail["VideoDetails"] for detail in done["OutputGroupDetails"][0]["OutputDetails"]]
    assert [(size["WidthInPx"], size["HeightInPx"]) for size in sizes] == list(THREE_PRESETS.values())
    names = [output["NameModifier"] for output in done["Settings"]["OutputGroups"][0]["Outputs"]]
    assert names == ["_0", "_1", "_2"]


def test_unknown_job_is_not_found(server: Server) -> None:
    with pytest.raises(ClientError) as error:
        server.mediaconvert.get_job(Id="1600000000000-abc123")
    assert refused(error)[:2] == (404, "NotFoundException")


def test_list_jobs_pages_and_filters(server: Server, sources: str) -> None:
    api = server.mediaconvert
    small = list(THREE_PRESETS)[2:]
    calls = [request(f"{sources}tiny.mp4", f"s3://renditions/page/{n}/", small) for n in range(5)]
    wanted = [api.create_job(**call)["Job"]["Id"] for call in calls]
    missing = api.create_job(**request(f"{sources}nothing.mp4", "s3://renditions/page/x/"))["Job"]["Id"]
    assert [server.wait_status(job)["Status"] for job in wanted] == ["COMPLETE"] * 5
    assert server.wait_status(missing)["Status"] == "ERROR"

    def listed(**filters: object) -> list[str]:
        pages = api.get_paginator("list_jobs").paginate(PaginationConfig={"PageSize": 2}, **filters)
        found = [[job["Id"] for job in page["Jobs"]] for page in pages]
        assert all(len(page) <= 2 for page in found)
        return [job for page in found for job in page]

    complete = listed(Status="COMPLETE", Order="ASCENDING")
    assert [job for job in complete if job in wanted] == wanted
    assert len(set(complete)) == len(complete), "no job may appear on two pages"
    assert listed(Status="COMPLETE", Order="DESCENDING") == complete[::-1]
    assert missing in listed(Status="ERROR") and missing not in complete


def test_cancel_stops_ffmpeg_within_two_seconds(server: Server, sources: str) -> None:
    api = server.mediaconvert
    job = api.create_job(**request(f"{sources}long.mp4", "s3://renditions/canceled/"))["Job"]["Id"]
    # Encoders of an earlier test may still be finishing, so the job itself must report that it encodes.
    eventually(lambda: api.get_job(Id=job)["Job"].get("CurrentPhase") == "TRANSCODING", 60, "the job encodes")
    eventually(server.encoders, 10, "ffmpeg runs")
    start = time.monotonic()
    api.cancel_job(Id=job)
    eventually(lambda: server.encoders() == [], 2, "no ffmpeg is left")
    assert server.wait_status(job, seconds=2)["Status"] == "CANCELED"
    assert time.monotonic() - start < 4
    assert server.keys(prefix="canceled/") == []
    with pytest.raises(ClientError) as error:
        api.cancel_job(Id=job)
    assert refused(error)[0] in (400, 409)


def test_describe_endpoints_names_this_address(server: Server) -> None:
    endpoints = server.mediaconvert.describe_endpoints()["Endpoints"]
    assert [endpoint["Url"] for endpoint in endpoints] == [server.endpoint]


@pytest.mark.parametrize("service", ["mediaconvert", "s3"])
def test_wrong_secret_is_refused(service: str, server: Server) -> None:
    client = server.client(service, aws_secret_access_key="not the secret")
    with pytest.raises(ClientError) as error:
        client.list_jobs() if service == "mediaconvert" else client.list_buckets()
    assert refused(error)[0] == 403


def test_unknown_preset_is_named(server: Server, sources: str) -> None:
    with pytest.raises(ClientError) as error:
        server.mediaconvert.create_job(**request(f"{sources}short.mp4", "s3://renditions/x/", ["System-No_Such"]))
    status, code, message = refused(error)
    assert (status, code) in ((400, "BadRequestException"), (404, "NotFoundException"))
    assert "System-No_Such" in message


def test_all_problems_are_reported_at_once(server: Server) -> None:
    wrong = request("s3://sources/short.mp4", "s3://renditions/x/")
    avc = {"Codec": "H_264", "H264Settings": {"Bitrate": 1, "GopBReference": "MAYBE"}}
    output = {"VideoDescription": {"Width": 7, "CodecSettings": avc}, "ContainerSettings": {"Container": "MP4"}}
    wrong["Settings"]["OutputGroups"][0]["Outputs"] = [output]
    client = server.client("mediaconvert", config=Config(parameter_validation=False))
    with pytest.raises(ClientError) as error:
        client.create_job(**wrong)
    status, code, message = refused(error)
    assert (status, code) == (400, "BadRequestException")
    for place in ("bitrate", "gopBReference", "width"):
        assert place in message, message


def test_request_token_creates_one_job(server: Server, sources: str) -> None:
    call = request(f"{sources}tiny.mp4", "s3://renditions/token/", list(THREE_PRESETS)[2:])
    ids = {server.mediaconvert.create_job(**call, ClientRequestToken="once-only-1")["Job"]["Id"] for _ in range(3)}
    assert len(ids) == 1
    other = server.mediaconvert.create_job(**call, ClientRequestToken="once-only-2")["Job"]["Id"]
    assert other not in ids


def test_presigned_url_works_with_plain_http(server: Server, clips: Clips) -> None:
    place = {"Bucket": "uploads", "Key": "by link/año 1+1.mp4"}
    body = clips.file(TINY).read_bytes()
    s3 = server.s3
    put = s3.generate_presigned_url("put_object", Params={**place, "ContentType": "video/mp4"}, ExpiresIn=60)
    upload = urllib.request.Request(put, data=body, method="PUT", headers={"Content-Type": "video/mp4"})
    with urllib.request.urlopen(upload, timeout=30) as answer:
        assert answer.status == 200
    assert server.wait_job(place["Key"])["Status"] == "COMPLETE", "an upload by presigned URL must start a job"
    get = s3.generate_presigned_url("get_object", Params=place, ExpiresIn=60)
    with urllib.request.urlopen(get, timeout=30) as answer:
        assert answer.read() == body
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(get.replace("1%2B1", "1%2B2"), timeout=30)
    assert refusal.value.code == 403, "the URL is valid for one object only"
