"""Does the MediaConvert API limit what a request may hold, in AWS's words, and stay small and quick under large ones?"""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from harness import Server
from request_maker import Made
from test_api_fuzz import send

ROLE = "arn:aws:iam::000000000000:role/r"
QUEUE = "limits"
MEGABYTE = 1024 * 1024
H264 = {"Codec": "H_264", "H264Settings": {"RateControlMode": "CBR", "Bitrate": 500_000}}
OUTPUT = {"ContainerSettings": {"Container": "MP4"}, "VideoDescription": {"CodecSettings": H264}, "NameModifier": "_a"}


@pytest.fixture(scope="module")
def paused(server: Server) -> Server:
    """A server with a paused queue, so that no job runs."""
    server.mediaconvert.create_queue(Name=QUEUE, Status="PAUSED")
    return server


def group(outputs: int) -> dict:
    """A file group with this many outputs."""
    settings = {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://renditions/x/"}}
    return {"OutputGroupSettings": settings, "Outputs": [OUTPUT | {"NameModifier": f"_{n}"} for n in range(outputs)]}


def job(inputs: int = 1, groups: list[dict] | None = None, **members: object) -> dict:
    """A CreateJob request."""
    settings = {"Inputs": [{"FileInput": "s3://uploads/a.mp4"}] * inputs, "OutputGroups": groups or [group(1)]}
    return {"Role": ROLE, "Queue": QUEUE, "Settings": settings} | members


def refusal(call: object, **request: object) -> str:
    """The message of a refused request; it must be a BadRequestException."""
    with pytest.raises(ClientError) as raised:
        call(**request)
    error = raised.value.response["Error"]
    assert (error["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("BadRequestException", 400), error
    return error["Message"]


def memory(server: Server, what: str) -> int:
    """Bytes of the server's memory: `VmRSS` now, `VmHWM` at most so far."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024


def raw(server: Server, method: str, path: str, body: object) -> tuple[int, dict]:
    """Sends a signed request without the checks that SDKs make."""
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=300)
    try:
        status, _, text = send(connection, server.endpoint, Made("raw", method, f"/2017-08-29/{path}", {}, body, None))
        return status, json.loads(text)
    finally:
        connection.close()


def test_inputs_and_outputs_are_counted(paused: Server) -> None:
    create = paused.mediaconvert.create_job
    assert "/inputs: Should have at most 150 items" in refusal(create, **job(inputs=151))
    assert "/inputs: Should have at most 150 items" in refusal(create, **job(inputs=10_000))
    many = [group(100), group(101)]
    assert "/outputGroups: Should have at most 200 outputs in all" in refusal(create, **job(groups=many))
    clippings = job()
    clippings["Settings"]["Inputs"][0]["InputClippings"] = [{"StartTimecode": "00:00:00:00"}] * 1001
    assert "/inputs/0/inputClippings: Should have at most 1000 items" in refusal(create, **clippings)
    other = group(100)
    other["OutputGroupSettings"]["FileGroupSettings"]["Destination"] += "other/"
    made = create(**job(inputs=150, groups=[group(100), other]))["Job"]
    assert (made["Status"], len(made["Settings"]["Inputs"])) == ("SUBMITTED", 150)
    template = {"Name": "many", "Settings": {"OutputGroups": many}}
    message = refusal(paused.mediaconvert.create_job_template, **template)
    assert "/settings/outputGroups: Should have at most 200 outputs in all" in message


NAMES = [
    ("create_queue", {"Name": "a\nb"}, "/name: Should not have control characters"),
    ("create_queue", {"Name": "a" * 257}, "/name: Should have at most 256 characters"),
    ("create_queue", {"Name": "a", "Description": "a\x1b[31m"}, "/description: Should not have control characters"),
    ("create_queue", {"Name": "a", "Tags": {"k\x00": "v"}}, "/tags: Should have keys of at most 256 characters"),
    ("create_queue", {"Name": "a", "Tags": {"k": "v" * 257}}, "/tags/k: Should have at most 256 characters"),
    ("create_queue", {"Name": "a", "Tags": {f"k{n}": "v" for n in range(51)}}, "/tags: Should have at most 50 items"),
    ("create_queue", {"Name": "a", "Tags": {"aws:k": "v"}}, "/tags: Should not have keys that begin with aws:"),
    ("create_preset", {"Name": "a\x07", "Settings": {}}, "/name: Should not have control characters"),
    ("create_preset", {"Name": "a", "Category": "c" * 257, "Settings": {}}, "/category: Should have at most 256 characters"),
    ("create_job_template", {"Name": "a\r", "Settings": {}}, "/name: Should not have control characters"),
    ("update_queue", {"Name": QUEUE, "Description": "a\nb\x00"}, "/description: Should not have control characters"),
    ("create_job", job(ClientRequestToken="a\nb"), "/clientRequestToken: Should not have control characters"),
    ("create_job", job(ClientRequestToken="a" * 257), "/clientRequestToken: Should have at most 256 characters"),
    ("create_job", job(UserMetadata={"a\nb": "v"}), "/userMetadata: Should have keys of at most 256 characters"),
    ("create_job", job(UserMetadata={"k": "v" * 257}), "/userMetadata/k: Should have at most 256 characters"),
    ("create_job", job(UserMetadata={f"k{n}": "v" for n in range(11)}), "/userMetadata: Should have at most 10 items"),
    ("create_job", job(Tags={"k": "a\tb"}), "/tags/k: Should not have control characters"),
]


@pytest.mark.parametrize(("call", "request_", "what"), NAMES, ids=range(len(NAMES)))
def test_names_have_limits(paused: Server, call: str, request_: dict, what: str) -> None:
    client = paused.client("mediaconvert", config=Config(parameter_validation=False))
    assert what in refusal(getattr(client, call), **request_)


def test_unknown_settings_are_left_out_and_counted(paused: Server) -> None:
    request = {"role": ROLE, "queue": QUEUE, "settings": {
        "inputs": [{"fileInput": "s3://uploads/a.mp4", "colour": "red"}],
        "outputGroups": [{"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://renditions/x/"}},
                          "outputs": [{"containerSettings": {"container": "MP4"}, "videoDescription": {"codecSettings": {
                              "codec": "H_264", "h264Settings": {"rateControlMode": "CBR", "bitrate": 500_000}}}}]}],
    } | {f"odd{n}": n for n in range(50_000)}}  # fmt: skip
    status, answer = raw(paused, "POST", "jobs", request)
    assert status == 201, answer
    made = answer["job"]
    assert "odd" not in json.dumps(made["settings"]) and "colour" not in json.dumps(made["settings"])
    notes = made["messages"]["warning"]
    assert len(notes) == 21 and notes[-1] == "49981 more members are not settings and were left out", notes
    assert len(json.dumps(made)) < 10_000
    request["settings"] |= {f"odd{n}": n for n in range(200_000)}
    status, answer = raw(paused, "POST", "jobs", request)
    assert (status, answer["message"]) == (400, "/: Should have at most 100000 values in all")


def test_bodies_are_limited(paused: Server) -> None:
    status, answer = raw(paused, "POST", "jobs", {"role": "x" * 5 * MEGABYTE})
    assert status == 413 and "larger than 5120 KiB" in answer["message"], answer
    for path in ("queues", "presets", "tags"):
        status, answer = raw(paused, "POST", path, {"name": "x" * 65 * 1024})
        assert status == 413 and "larger than 64 KiB" in answer["message"], answer
    status, answer = raw(paused, "POST", "jobTemplates", {"name": "x" * 65 * 1024})
    assert status == 400 and "/name: Should have at most 8192 characters" in answer["message"], answer


def test_many_wrong_values_get_a_short_answer(paused: Server) -> None:
    status, answer = raw(paused, "POST", "jobs", {"settings": {"inputs": [{"videoSelector": {"colorSpace": n}} for n in range(150)]}})
    assert status == 400 and 1 <= answer["message"].count(" | ") < 100, answer


def test_pages_of_large_jobs_are_short(fresh_server: Server) -> None:
    fresh_server.start()
    fresh_server.mediaconvert.create_queue(Name=QUEUE, Status="PAUSED")
    # 100 inputs with 100 named selectors each: about 2.7 MB that a job may really have.
    selectors = {f"{n:03}" + "x" * 240: {"DefaultSelection": "DEFAULT"} for n in range(100)}
    large = job(inputs=100)
    for one in large["Settings"]["Inputs"]:
        one["AudioSelectors"] = selectors
    ids = [fresh_server.mediaconvert.create_job(**large)["Job"]["Id"] for _ in range(8)]
    before = memory(fresh_server, "VmHWM")
    first = fresh_server.mediaconvert.list_jobs(MaxResults=20)
    assert 1 <= len(first["Jobs"]) < 8 and first["NextToken"]
    pages = fresh_server.mediaconvert.get_paginator("list_jobs").paginate(Order="ASCENDING")
    assert [one["Id"] for page in pages for one in page["Jobs"]] == ids
    query = fresh_server.mediaconvert.start_jobs_query(FilterList=[{"Key": "status", "Values": ["SUBMITTED"]}], Order="ASCENDING")
    found = fresh_server.mediaconvert.get_jobs_query_results(Id=query["Id"])
    assert [one["Id"] for one in found["Jobs"]] == ids[: len(found["Jobs"])] and found["NextToken"]
    assert memory(fresh_server, "VmHWM") - before < 300 * MEGABYTE


def test_room_for_presets_is_limited(fresh_server: Server) -> None:
    fresh_server.start()
    client = fresh_server.mediaconvert
    burnt_in = {"DestinationSettings": {"DestinationType": "BURN_IN"}}
    captions = [burnt_in | {"LanguageDescription": "x" * 8000}] * 7
    small = {name: value for name, value in OUTPUT.items() if name != "NameModifier"}
    with pytest.raises(ClientError) as raised:
        for number in range(1000):
            client.create_preset(Name=f"large-{number}", Settings=small | {"CaptionDescriptions": captions})
    error = raised.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceQuotaExceededException", 402)
    assert "8 MiB" in error["Error"]["Message"] and 100 < number < 160
    client.delete_preset(Name="large-0")
    client.create_preset(Name="small", Settings=small)
