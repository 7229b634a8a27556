"""Does AWS's own command line work as the client? It creates, lists, searches, cancels and tags, reads errors, and moves files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Server
from outputs import AAC, ROLE, h264, output, settings

FILM = Clip(width=320, height=180, rate="25", frames=25)


class CommandLine:
    """Runs `aws`, which takes its configuration from environment variables alone."""

    def __init__(self, server: Server) -> None:
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
        place = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        quiet = {"AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        self._environment = {**os.environ, **keys, **place, **quiet}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one command, which may fail."""
        # The virtual environment's own client, whatever else is on the path.
        command = [sys.executable, str(Path(sys.executable).with_name("aws")), *words, "--output", "json"]
        return subprocess.run(command, capture_output=True, text=True, env=self._environment, timeout=60)

    def answer(self, *words: str) -> dict:
        """Runs a MediaConvert operation that must succeed and returns its answer."""
        ran = self.run("mediaconvert", *words)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else {}

    def error(self, *words: str) -> str:
        """Runs a MediaConvert operation that must fail and returns the error output."""
        ran = self.run("mediaconvert", *words)
        assert ran.returncode == 255 and "An error occurred (" in ran.stderr, (ran.returncode, ran.stderr)
        return ran.stderr


@pytest.fixture(scope="module")
def aws(server: Server) -> CommandLine:
    """The client, and a bucket that has no trigger."""
    client = CommandLine(server)
    assert client.run("s3", "mb", "s3://masters").returncode == 0
    return client


def job_text(name: str) -> str:
    """Returns the settings of a small job as the text that the command line takes."""
    inputs = [{"FileInput": "s3://masters/film.mp4", "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}]
    return json.dumps(settings(inputs, [output("MP4", h264(), [AAC], NameModifier="_c")], f"s3://renditions/line/{name}"))


def test_job_goes_from_upload_to_download(server: Server, aws: CommandLine, clips: Clips, tmp_path: Path) -> None:
    assert aws.run("s3", "cp", str(clips.file(FILM)), "s3://masters/film.mp4").returncode == 0
    made = aws.answer("create-job", "--role", ROLE, "--settings", job_text("made"), "--user-metadata", "film=día", "--tags", "team=uno")
    job = made["Job"]
    server.wait_status(job["Id"])
    got = aws.answer("get-job", "--id", job["Id"])["Job"]
    assert (got["Status"], got["Arn"], got["UserMetadata"]) == ("COMPLETE", job["Arn"], {"film": "día"})
    assert aws.run("s3", "cp", "s3://renditions/line/made_c.mp4", str(tmp_path / "c.mp4")).returncode == 0
    head = server.s3.head_object(Bucket="renditions", Key="line/made_c.mp4")
    assert (tmp_path / "c.mp4").stat().st_size == head["ContentLength"]
    listed = aws.answer("list-jobs", "--max-items", "1", "--page-size", "1")
    assert len(listed["Jobs"]) == 1 and "Settings" in listed["Jobs"][0]
    found = aws.answer("search-jobs", "--input-file", "masters/film", "--status", "COMPLETE")["Jobs"]
    assert [one["Id"] for one in found] == [job["Id"]]
    assert aws.answer("list-tags-for-resource", "--arn", job["Arn"])["ResourceTags"]["Tags"] == {"team": "uno"}
    aws.answer("tag-resource", "--arn", job["Arn"], "--tags", "cost=dos")
    aws.answer("untag-resource", "--arn", job["Arn"], "--tag-keys", "team")
    assert aws.answer("list-tags-for-resource", "--arn", job["Arn"])["ResourceTags"]["Tags"] == {"cost": "dos"}
    facts = aws.answer("probe", "--input-files", "FileUrl=s3://renditions/line/made_c.mp4")["ProbeResults"][0]
    assert facts["Container"]["Format"] == "mp4" and len(facts["Container"]["Tracks"]) == 2


def test_queues_presets_and_templates_can_be_managed(aws: CommandLine) -> None:
    for number in range(3):
        aws.answer("create-queue", "--name", f"line-{number}", "--status", "PAUSED")
        preset = json.dumps({"ContainerSettings": {"Container": "MP4"}, "VideoDescription": {"CodecSettings": h264()}})
        aws.answer("create-preset", "--name", f"line-{number}", "--settings", preset, "--category", "line")
        template = json.loads(job_text("template"))
        del template["Inputs"][0]["FileInput"]
        aws.answer("create-job-template", "--name", f"line-{number}", "--settings", json.dumps(template), "--category", "line")
    names = [f"line-{number}" for number in range(3)]
    paged = ["--page-size", "1"]
    queues = [queue["Name"] for queue in aws.answer("list-queues", *paged)["Queues"]]
    assert set(names) <= set(queues) and "Default" in queues
    presets = aws.answer("list-presets", "--category", "line", *paged)["Presets"]
    templates = aws.answer("list-job-templates", "--category", "line", *paged)["JobTemplates"]
    assert sorted(preset["Name"] for preset in presets) == names == sorted(template["Name"] for template in templates)
    changed = aws.answer("update-preset", "--name", "line-0", "--description", "otra")["Preset"]
    assert changed["Description"] == "otra" and changed["Settings"]["ContainerSettings"]["Container"] == "MP4"
    job = aws.answer("create-job", "--role", ROLE, "--queue", "line-0", "--settings", job_text("never"))["Job"]
    aws.answer("cancel-job", "--id", job["Id"])
    for _ in range(50):
        if aws.answer("get-job", "--id", job["Id"])["Job"]["Status"] == "CANCELED":
            break
    else:
        pytest.fail("a waiting job that was cancelled did not end")
    for name in names:
        aws.answer("delete-preset", "--name", name)
        aws.answer("delete-job-template", "--name", name)
        aws.answer("delete-queue", "--name", name)
    assert not aws.answer("list-presets", "--category", "line")["Presets"]


def test_errors_are_read_by_their_names(aws: CommandLine) -> None:
    bad = json.loads(job_text("bad"))
    bad["OutputGroups"][0]["Outputs"][0]["AudioDescriptions"][0]["CodecSettings"]["AacSettings"]["CodecProfile"] = "HEV1"
    told = aws.error("create-job", "--role", ROLE, "--settings", json.dumps(bad))
    assert "(BadRequestException)" in told and "/outputGroups/0/outputs/0/audioDescriptions/0/codecSettings/aacSettings/codecProfile" in told
    assert "(NotFoundException)" in aws.error("get-job", "--id", "1-none")
    assert "(NotFoundException)" in aws.error("create-job", "--role", ROLE, "--job-template", "none", "--settings", job_text("x"))
    aws.answer("create-queue", "--name", "twice")
    assert "(ConflictException)" in aws.error("create-queue", "--name", "twice")
    assert "(ForbiddenException)" in aws.error("delete-queue", "--name", "Default")
