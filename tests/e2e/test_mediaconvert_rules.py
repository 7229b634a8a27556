"""Does CreateJob refuse what AWS refuses, with all problems in one answer, and take what AWS's console writes?"""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server
from outputs import AAC, fail, h264, output, refuse, run, settings, upload

CLIP = Clip(width=320, height=180, frames=25)
DEPENDS = "Should match all dependencies: See other errors for more details"
RATES = "Your job contains values for the following settings that are incompatible: Rate control mode, Bitrate, and Max bitrate."
VIDEO = "/outputGroups/0/outputs/0/videoDescription"


@pytest.fixture(scope="module")
def film(server: Server, clips: Clips) -> str:
    """The URL of a clip in a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return upload(server, clips.file(CLIP), "rules/clip.mp4")


def codec(**members: object) -> dict:
    """Returns an output whose codec settings are these."""
    return output("MP4", None) | {"VideoDescription": {"CodecSettings": members}}


def test_settings_that_contradict_each_other_are_named_in_one_answer(server: Server, film: str) -> None:
    outputs = [
        codec(Codec="H_264", H264Settings={"RateControlMode": "CBR", "Bitrate": 500_000, "MaxBitrate": 900_000}),
        codec(Codec="H_265", H264Settings={"RateControlMode": "QVBR", "MaxBitrate": 900_000}),
        output("MP4", h264(Telecine="SOFT")),
        output("MP4", h264(), [{"Codec": "WAV", "WavSettings": {}}]),
        output("M3U8", h264()),
    ]
    for number, one in enumerate(outputs):
        one["NameModifier"] = f"_{number}"
    before = len(server.mediaconvert.list_jobs()["Jobs"])
    told = refuse(server, settings([{"FileInput": film}], outputs, "s3://renditions/rules/x")).split(" | ")
    assert f"{VIDEO}/codecSettings/h264Settings: {RATES}" in told
    assert f"{VIDEO}/codecSettings/h264Settings/maxBitrate: Should not be set when rateControlMode is CBR" in told
    second = VIDEO.replace("outputs/0", "outputs/1")
    assert f"{second}/codecSettings/h264Settings: {DEPENDS}" in told
    assert f"{second}/codecSettings/codec: Must be H_264" in told
    starts = (
        "/outputGroups/0/outputs/2/videoDescription/codecSettings/h264Settings/telecine: telecine SOFT is not supported",
        "/outputGroups/0/outputs/3/audioDescriptions/0/codecSettings/codec: WAV is not supported in MP4",
        "/outputGroups/0/outputs/4/containerSettings/container: Should be equal to one of the allowed values in [",
    )
    for start in starts:
        assert any(one.startswith(start) for one in told), (start, told)
    assert len(server.mediaconvert.list_jobs()["Jobs"]) == before, "no job is made"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"CodecSettings": {"Codec": "H_264"}}, f"{VIDEO}/codecSettings: Should have at least 2 properties"),
        ({"Crop": {"X": 1, "Y": 0, "Width": 100, "Height": 100}}, f"{VIDEO}/crop/x: Should be a multiple of 2"),
        ({"Position": {"X": 0, "Y": 0, "Width": 101, "Height": 90}}, f"{VIDEO}/position/width: Should be a multiple of 2"),
    ],
)
def test_video_settings_are_refused_in_the_words_of_aws(server: Server, film: str, change: dict, told: str) -> None:
    one = output("MP4", h264())
    one["VideoDescription"] |= change
    assert told in refuse(server, settings([{"FileInput": film}], [one], "s3://renditions/rules/x")).split(" | ")


@pytest.mark.parametrize(
    ("kind", "member", "told"),
    [
        ("FILE_GROUP", "FileGroupSettings", "Should be equal to one of the allowed values in [HLS_GROUP_SETTINGS, "),
        (
            "MS_SMOOTH_GROUP_SETTINGS",
            "MsSmoothGroupSettings",
            "type MS_SMOOTH_GROUP_SETTINGS is not supported, only [FILE_GROUP_SETTINGS, HLS_GROUP_SETTINGS, "
            "CMAF_GROUP_SETTINGS, DASH_ISO_GROUP_SETTINGS]: for Microsoft Smooth Streaming use CMAF_GROUP_SETTINGS, ",
        ),
    ],
)
def test_other_types_of_output_groups_are_refused(server: Server, film: str, kind: str, member: str, told: str) -> None:
    job = settings([{"FileInput": film}], [output("MP4", h264())], "s3://renditions/rules/x")
    job["OutputGroups"][0]["OutputGroupSettings"] = {"Type": kind, member: {"Destination": "s3://renditions/rules/x"}}
    pointer = "/outputGroups/0/outputGroupSettings/type: "
    assert any(one.startswith(pointer + told) for one in refuse(server, job).split(" | "))


def test_presets_and_templates_are_refused_for_what_their_jobs_would_be(server: Server) -> None:
    client = server.mediaconvert
    preset = output("MP4", h264(Telecine="SOFT"), [{"Codec": "WAV", "WavSettings": {}}])
    with pytest.raises(ClientError) as caught:
        client.create_preset(Name="unusable", Settings=preset)
    told = caught.value.response["Error"]["Message"]
    assert "/settings/videoDescription/codecSettings/h264Settings/telecine: telecine SOFT is not supported" in told
    assert "/settings/audioDescriptions/0/codecSettings/codec: WAV is not supported in MP4" in told
    job = settings([{}], [output("MP4", h264(), [AAC]), output("MP4", h264())], "s3://renditions/rules/x")
    for one in job["OutputGroups"][0]["Outputs"]:
        one["NameModifier"] = "_same"
    with pytest.raises(ClientError, match="two outputs would be written to"):
        client.create_job_template(Name="unusable", Settings=job)
    job["OutputGroups"][0]["Outputs"][1]["NameModifier"] = "_other"
    del job["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"]["Destination"]
    client.create_job_template(Name="usable", Settings=job)
    client.delete_job_template(Name="usable")


def test_what_the_console_writes_is_taken(server: Server, film: str) -> None:
    one = output("MP4", h264(Softness=0, Slices=1, Syntax="DEFAULT"), [AAC], OutputSettings={})
    job = settings([{"FileInput": film, "VideoSelector": {}}], [one], "s3://renditions/rules/console")
    job["FollowSource"] = 1
    group = job["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"]
    group["DestinationSettings"] = {"S3Settings": {"AccessControl": {"CannedAcl": "PUBLIC_READ"}}}
    done = run(server, job)
    kept = done["Settings"]["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"]
    assert kept["DestinationSettings"]["S3Settings"]["AccessControl"] == {"CannedAcl": "PUBLIC_READ"}
    (warning,) = done["Messages"]["Warning"]
    assert warning.endswith("cannedAcl PUBLIC_READ has no effect, because outputs get no ACL: open them with a bucket policy")
    assert done["AccelerationSettings"] == {"Mode": "DISABLED"} and done["AccelerationStatus"] == "NOT_APPLICABLE"
    assert done["StatusUpdateInterval"] == "SECONDS_60" and done["BillingTagsSource"] == "JOB"
    assert done["HopDestinations"] == []
    job["FollowSource"] = 2
    assert "/followSource: Should be less than or equal to 1" in refuse(server, job)


def test_encoded_key_is_explained(server: Server, film: str, clips: Clips) -> None:
    assert film
    upload(server, clips.file(CLIP), "rules/día 1.mp4")
    url = "s3://masters/rules/d%C3%ADa+1.mp4"
    done = fail(server, settings([{"FileInput": url}], [output("MP4", h264())], "s3://renditions/rules/x"))
    assert done["ErrorCode"] == 1404
    assert "`s3://masters/rules/día 1.mp4` is there" in done["ErrorMessage"], done["ErrorMessage"]
