"""Can SDK users create presets, job templates and queues, list them in pages, change them, use them in jobs, and delete them?"""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server

ROLE = "arn:aws:iam::000000000000:role/r"
CLIP = Clip(width=640, height=360, frames=25)
SMALL = {
    "ContainerSettings": {"Container": "MP4"},
    "VideoDescription": {
        "Width": 320,
        "Height": 180,
        "CodecSettings": {
            "Codec": "H_264",
            "H264Settings": {"RateControlMode": "QVBR", "MaxBitrate": 800_000, "QualityTuningLevel": "SINGLE_PASS"},
        },
    },
}


def refused(call: object, **arguments: object) -> tuple[str, str]:
    """Makes a call that must fail and returns its error code and message."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def pages(client: object, operation: str, result: str, **arguments: object) -> list[dict]:
    """Returns all items, through boto3's own paginator."""
    found = client.get_paginator(operation).paginate(**arguments, PaginationConfig={"PageSize": 3})
    return [item for page in found for item in page[result]]


def settings(source: str, destination: str, outputs: list[dict]) -> dict:
    """Returns job settings with one file group."""
    return {
        "Inputs": [{"FileInput": source}],
        "OutputGroups": [
            {
                "OutputGroupSettings": {
                    "Type": "FILE_GROUP_SETTINGS",
                    "FileGroupSettings": {"Destination": destination},
                },
                "Outputs": outputs,
            }
        ],
    }


@pytest.fixture(scope="module")
def clip(server: Server, clips: Clips) -> str:
    """The URL of a clip in a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="kept")
    server.s3.put_object(Bucket="kept", Key="clip.mp4", Body=clips.file(CLIP).read_bytes())
    return "s3://kept/clip.mp4"


def test_preset_can_be_created_updated_and_deleted(server: Server) -> None:
    client = server.mediaconvert
    made = client.create_preset(Name="tiny", Category="mine", Description="small", Settings=SMALL)["Preset"]
    assert made["Arn"].endswith(":presets/tiny")
    assert (made["Type"], made["Category"]) == ("CUSTOM", "mine")
    assert refused(client.create_preset, Name="tiny", Settings=SMALL)[0] == "ConflictException"
    assert client.get_preset(Name="tiny")["Preset"]["Settings"]["VideoDescription"]["Width"] == 320
    changed = client.update_preset(Name="tiny", Description="smaller")["Preset"]
    assert (changed["Description"], changed["Category"]) == ("smaller", "mine")
    assert changed["LastUpdated"] >= made["LastUpdated"]
    client.delete_preset(Name="tiny")
    code, message = refused(client.get_preset, Name="tiny")
    assert code == "NotFoundException"
    assert message.startswith("The specified preset was not found: presetArn=arn:aws:mediaconvert:")


def test_system_presets_are_listed_and_cannot_change(server: Server) -> None:
    client = server.mediaconvert
    names = [preset["Name"] for preset in pages(client, "list_presets", "Presets", ListBy="SYSTEM")]
    assert len(names) == len(set(names)) >= 85
    assert names == sorted(names)
    name = "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps"
    assert client.get_preset(Name=name)["Preset"]["Type"] == "SYSTEM"
    assert refused(client.delete_preset, Name=name)[0] == "ForbiddenException"
    assert refused(client.update_preset, Name=name, Description="x")[0] == "ForbiddenException"
    assert refused(client.create_preset, Name=name, Settings=SMALL)[0] == "ConflictException"


def test_bad_preset_is_refused_by_member(server: Server) -> None:
    broken = {"VideoDescription": {"Width": 320, "Height": 181}}
    code, message = refused(server.mediaconvert.create_preset, Name="odd", Settings=broken)
    assert code == "BadRequestException"
    assert "/settings/videoDescription/height: Should be a multiple of 2" in message


def test_lists_follow_order_and_category(server: Server) -> None:
    client = server.mediaconvert
    for number in range(7):
        category = "even" if number % 2 == 0 else "odd"
        client.create_preset(Name=f"listed-{number}", Category=category, Settings=SMALL)
    try:
        names = [one["Name"] for one in pages(client, "list_presets", "Presets") if one["Name"].startswith("listed")]
        assert names == [f"listed-{number}" for number in range(7)]
        newest = pages(client, "list_presets", "Presets", ListBy="CREATION_DATE", Order="DESCENDING")
        assert [one["Name"] for one in newest if one["Name"].startswith("listed")] == names[::-1]
        assert [one["Name"] for one in pages(client, "list_presets", "Presets", Category="odd")] == names[1::2]
    finally:
        for number in range(7):
            client.delete_preset(Name=f"listed-{number}")


def test_job_uses_custom_preset_and_template(server: Server, clip: str) -> None:
    client = server.mediaconvert
    client.create_preset(Name="job-preset", Settings=SMALL)
    outputs = [{"Preset": "job-preset", "NameModifier": "_small", "VideoDescription": {"Width": 160, "Height": 90}}]
    template = settings("s3://nowhere/x.mp4", "s3://renditions/template/", outputs)
    del template["Inputs"][0]["FileInput"]
    client.create_queue(Name="templates", Description="for one test")
    client.create_job_template(Name="job-template", Settings=template, Priority=7, Queue="templates")
    job = client.create_job(
        Role=ROLE, JobTemplate="job-template", Settings={"Inputs": [{"FileInput": clip}]}
    )["Job"]  # fmt: skip
    assert job["Priority"] == 7
    assert job["Queue"].endswith(":queues/templates")
    done = server.wait_status(job["Id"])
    assert done["Status"] == "COMPLETE", done
    detail = done["OutputGroupDetails"][0]["OutputDetails"][0]
    assert detail["VideoDetails"] == {"WidthInPx": 160, "HeightInPx": 90}
    assert [one["Name"] for one in pages(client, "list_job_templates", "JobTemplates")] == ["job-template"]
    client.update_job_template(Name="job-template", Priority=-3)
    assert client.get_job_template(Name="job-template")["JobTemplate"]["Priority"] == -3
    client.delete_job_template(Name="job-template")
    code, message = refused(client.create_job, Role=ROLE, JobTemplate="job-template", Settings={})
    assert (code, "jobTemplateArn=" in message) == ("NotFoundException", True)
    client.delete_queue(Name="templates")
    client.delete_preset(Name="job-preset")


def test_jobs_wait_while_their_queue_is_paused(server: Server, clip: str) -> None:
    client = server.mediaconvert
    client.create_queue(Name="paused", Status="PAUSED")
    outputs = [SMALL | {"NameModifier": "_small"}]
    waiting = client.create_job(
        Role=ROLE, Queue="paused", Settings=settings(clip, "s3://renditions/paused/", outputs)
    )["Job"]  # fmt: skip
    # A later job in another queue finishes first, so the waiting job had its chance to run.
    other = client.create_job(Role=ROLE, Settings=settings(clip, "s3://renditions/other/", outputs))["Job"]
    assert server.wait_status(other["Id"])["Status"] == "COMPLETE"
    assert client.get_job(Id=waiting["Id"])["Job"]["Status"] == "SUBMITTED"
    queue = client.get_queue(Name="paused")["Queue"]
    assert (queue["Status"], queue["SubmittedJobsCount"], queue["ProgressingJobsCount"]) == ("PAUSED", 1, 0)
    assert refused(client.delete_queue, Name="paused")[0] == "ConflictException"
    client.update_queue(Name="paused", Status="ACTIVE")
    assert server.wait_status(waiting["Id"])["Status"] == "COMPLETE"
    client.delete_queue(Name="paused")


def test_default_queue_always_exists(server: Server) -> None:
    client = server.mediaconvert
    default = client.get_queue(Name="Default")["Queue"]
    assert (default["Type"], default["Status"], default["PricingPlan"]) == ("SYSTEM", "ACTIVE", "ON_DEMAND")
    assert "Default" in [queue["Name"] for queue in pages(client, "list_queues", "Queues")]
    assert refused(client.delete_queue, Name="Default")[0] == "ForbiddenException"
    assert refused(client.get_queue, Name="nothing")[0] == "NotFoundException"


def test_jobs_are_found_by_part_of_input_name(server: Server, clip: str) -> None:
    client = server.mediaconvert
    outputs = [SMALL | {"NameModifier": "_small"}]
    server.s3.copy_object(Bucket="kept", Key="needle 100%_ä.mp4", CopySource="kept/clip.mp4")
    made = [
        client.create_job(
            Role=ROLE, Settings=settings("s3://kept/needle 100%_ä.mp4", f"s3://renditions/found-{number}/", outputs)
        )["Job"]["Id"]
        for number in range(4)
    ]  # fmt: skip
    found = pages(client, "search_jobs", "Jobs", InputFile="needle 100%_ä")
    assert [job["Id"] for job in found] == made[::-1]
    assert pages(client, "search_jobs", "Jobs", InputFile="needle 100xxx") == []
    done = [server.wait_status(job)["Status"] for job in made]
    assert done == ["COMPLETE"] * 4
    assert len(pages(client, "search_jobs", "Jobs", InputFile="needle", Status="COMPLETE")) == 4
    assert pages(client, "search_jobs", "Jobs", InputFile="needle", Status="ERROR") == []
