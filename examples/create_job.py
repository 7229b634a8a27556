#!/usr/bin/env python3
"""Transcodes a video with AWS MediaConvert: uploads it, creates a job, waits for its end and prints what it made.

Usage: create_job.py VIDEO (needs boto3). Nothing in it is about abanico: with AWS_ENDPOINT_URL set to a running
`abanico serve` it runs on this machine, and without it on AWS. There, set BUCKET and ROLE to a bucket of yours and to the
role that MediaConvert reads and writes it with.
"""

import os
import sys
import time
from pathlib import Path

import boto3

BUCKET = os.environ.get("BUCKET", "films")
ROLE = os.environ.get("ROLE", "arn:aws:iam::123456789012:role/MediaConvert")
PRESETS = {
    "_1080p": "System-Generic_Hd_Mp4_Avc_Aac_16x9_1920x1080p_24Hz_6Mbps",
    "_720p": "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps",
    "_480p": "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps",
}


def main() -> int:
    """Runs one job; the exit status is 1 if it fails."""
    video = Path(sys.argv[1])
    s3, mediaconvert = boto3.client("s3"), boto3.client("mediaconvert")
    if "BUCKET" not in os.environ:
        s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(video), BUCKET, video.name)
    outputs = [{"Preset": preset, "NameModifier": name, "Extension": "mp4"} for name, preset in PRESETS.items()]
    destination = {"Destination": f"s3://{BUCKET}/{video.stem}/"}
    settings = {
        "Inputs": [
            {
                "FileInput": f"s3://{BUCKET}/{video.name}",
                "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}},
            }
        ],
        "OutputGroups": [
            {
                "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": destination},
                "Outputs": outputs,
            }
        ],
    }
    job = mediaconvert.create_job(Role=ROLE, Settings=settings)["Job"]
    while job["Status"] in ("SUBMITTED", "PROGRESSING"):
        time.sleep(0.5)
        job = mediaconvert.get_job(Id=job["Id"])["Job"]
    print(f"job {job['Id']}: {job['Status']} {job.get('ErrorMessage', '')}".rstrip())
    for made in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{video.stem}/").get("Contents", []):
        print(f"s3://{BUCKET}/{made['Key']}  {made['Size']} bytes")
    return 0 if job["Status"] == "COMPLETE" else 1


if __name__ == "__main__":
    sys.exit(main())
