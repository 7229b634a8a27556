"""Builds jobs with any kind of output, runs them, and measures the files that they make.

Inputs and outputs are written as in MediaConvert's API. The tests decide what is right.
"""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from harness import Server

ROLE = "arn:aws:iam::000000000000:role/r"
AAC = {"Codec": "AAC", "AacSettings": {"Bitrate": 96_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}}


def h264(**settings: object) -> dict:
    """Returns codec settings for a small, quick H.264 encode."""
    base = {"RateControlMode": "QVBR", "QualityTuningLevel": "SINGLE_PASS"}
    if settings.get("RateControlMode") != "CBR":
        base["MaxBitrate"] = 1_000_000
    return {"Codec": "H_264", "H264Settings": base | settings}


def output(container: str, codec: dict | None = None, sounds: list[dict] | None = None, **members: object) -> dict:
    """Returns one output. `codec` is video codec settings; `sounds` lists audio descriptions or audio codec settings."""
    video = members.pop("VideoDescription", {})
    made: dict = {"ContainerSettings": {"Container": container}, **members}
    if codec is not None:
        made["VideoDescription"] = {"Width": 320, "Height": 180, "CodecSettings": codec, **video}
    if sounds is not None:
        made["AudioDescriptions"] = [sound if "CodecSettings" in sound else {"CodecSettings": sound} for sound in sounds]
    return made


def settings(inputs: list[dict], outputs: list[dict], destination: str) -> dict:
    """Returns the settings of a job with one file group."""
    group = {
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": destination}},
        "Outputs": outputs,
    }
    return {"Inputs": inputs, "OutputGroups": [group]}


def upload(server: Server, file: Path, key: str) -> str:
    """Uploads a file to a bucket that has no trigger and returns its URL."""
    server.s3.put_object(Bucket="masters", Key=key, Body=file.read_bytes())
    return f"s3://masters/{key}"


def run(server: Server, job: dict) -> dict:
    """Runs a job until it ends; its status must be COMPLETE."""
    made = server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]
    done = server.wait_status(made["Id"])
    assert done["Status"] == "COMPLETE", (done.get("ErrorCode"), done.get("ErrorMessage"))
    return done


def fail(server: Server, job: dict) -> dict:
    """Runs a job until it ends; its status must be ERROR."""
    made = server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]
    done = server.wait_status(made["Id"])
    assert done["Status"] == "ERROR", done
    return done


def refuse(server: Server, job: dict) -> str:
    """Sends a job that must be refused, so that none is made, and returns the message."""
    with pytest.raises(ClientError) as caught:
        server.mediaconvert.create_job(Role=ROLE, Settings=job)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    assert error["Code"] == "BadRequestException", error
    return error["Message"]


def streams(file: Path) -> list[dict]:
    """Returns every stream as ffprobe describes it, with its packets counted."""
    command = ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"ffprobe cannot read {file.name}: {done.stderr}"
    return json.loads(done.stdout)["streams"]


def decoded_frames(file: Path) -> list[str]:
    """Returns a checksum of every decoded frame."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:v", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return [line.rsplit(",", 1)[1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


def seconds_of_sound(file: Path) -> Fraction:
    """Returns the length of the decoded audio in seconds."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:a:0", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return Fraction(len(done.stdout), 2 * 8000)


def loudness_lkfs(file: Path) -> float:
    """Returns the programme loudness of the first audio track in LKFS."""
    command = ["ffmpeg", "-hide_banner", "-i", str(file), "-map", "0:a:0", "-af", "ebur128=framelog=verbose", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return float(done.stderr.rsplit("I:", 1)[1].split()[0])
