"""With engine = "mediaconvert", does another service run the jobs, and do they look as if they ran here?
The other service is a second abanico with its own S3."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from aws_emulator import free_port
from clips import Clip, Clips
from harness import Server, all_jobs, bucket_tables, eventually
from outputs import h264, output, run, settings
from transcoding import Expected, check_rendition
from web_server import WebServer

FILM = Clip(width=640, height=360, frames=50)
LONG = Clip(width=640, height=360, rate="30", frames=600)
REMOTE_KEYS = ("AKIAREMOTEREMOTE1234", "the-secret-of-the-other-service")


@dataclass
class Pair:
    """The server that users talk to, and the one that runs its jobs."""

    near: Server
    far: Server

    def upload(self, clip: Path, key: str) -> None:
        """Uploads a film as a user does."""
        self.near.s3.put_object(Bucket="uploads", Key=key, Body=clip.read_bytes())

    def far_jobs(self, key: str) -> list[dict]:
        """Returns the other service's jobs that read the copy of an upload."""
        url = f"s3://far-uploads/{key}"
        return [job for job in all_jobs(self.far.mediaconvert) if job["Settings"]["Inputs"][0]["FileInput"] == url]


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    """A web server that only the other service may read from."""
    with WebServer() as web:
        yield web


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, web: WebServer) -> Iterator[Pair]:
    """Both servers, with jobs forwarded from one to the other."""
    folder = tmp_path_factory.mktemp("forwarding")
    far_config = 'trigger = []\n' + bucket_tables("far-uploads", "far-renditions")
    far_config += f'[web_inputs]\nhosts = ["{web.host}"]\nallow_private_addresses = true\n'
    far = Server(folder / "far", far_config, key_pair=REMOTE_KEYS, listen=f"127.0.0.1:{free_port()}").start()
    near_config = f"""
engine = "mediaconvert"
[mediaconvert]
region = "eu-west-1"
role = "arn:aws:iam::111122223333:role/far"
endpoint = "{far.endpoint}"
s3_endpoint = "{far.endpoint}"
copy = true
poll_seconds = 1
[mediaconvert.buckets]
uploads = "far-uploads"
renditions = "far-renditions"
"""
    environment = {"AWS_ACCESS_KEY_ID": REMOTE_KEYS[0], "AWS_SECRET_ACCESS_KEY": REMOTE_KEYS[1]}
    near = Server(folder / "near", near_config, environment=environment)
    try:
        yield Pair(near.start(), far)
    finally:
        near.end()
        far.end()


def test_other_service_runs_the_job_and_returns_outputs(pair: Pair, clips: Clips, tmp_path: Path) -> None:
    key = "films/día 1.mp4"
    pair.upload(clips.file(FILM), key)
    job = pair.near.wait_job(key)
    assert job["Status"] == "COMPLETE", job
    (far,) = pair.far_jobs(key)
    assert far["Role"] == "arn:aws:iam::111122223333:role/far"
    assert far["UserMetadata"]["abanico-forwarded"] == job["Id"]
    (group,) = job["OutputGroupDetails"]
    assert len(group["OutputDetails"]) == len(far["OutputGroupDetails"][0]["OutputDetails"])
    assert all(1900 <= output["DurationInMs"] <= 2100 for output in group["OutputDetails"])
    keys = pair.near.keys(prefix=f"{key}/")
    assert keys == pair.far.keys(bucket="far-renditions", prefix=f"{key}/")
    file = pair.near.download(next(name for name in keys if name.endswith("_480p.mp4") or len(keys) == 1), tmp_path / "x")
    check_rendition(file, (640, 360), Expected(sizes={}, rate=Fraction(FILM.rate), frames=50, has_sound=True))


def complete_jobs(server: Server) -> float:
    """Returns how many complete jobs a server's metrics have counted."""
    with urllib.request.urlopen(server.endpoint + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return float(re.search(r'^abanico_job_duration_seconds_count\{result="complete"\} (\S+)$', text, re.M)[1])


def test_forwarded_job_is_counted(pair: Pair, clips: Clips) -> None:
    before = complete_jobs(pair.near)
    pair.upload(clips.file(FILM), "counted.mp4")
    assert pair.near.wait_job("counted.mp4")["Status"] == "COMPLETE"
    eventually(lambda: complete_jobs(pair.near) == before + 1, 10, "the job is counted")


def test_web_input_is_read_by_the_other_service(pair: Pair, web: WebServer, clips: Clips) -> None:
    url = web.put("/film.mp4", clips.file(FILM).read_bytes())
    run(pair.near, settings([{"FileInput": url}], [output("MP4", h264(), NameModifier="_w")], "s3://renditions/web/"))
    assert pair.near.keys(prefix="web/") == ["web/film_w.mp4"]
    assert len(web.requests) == 1


def test_remote_error_is_passed_on(pair: Pair) -> None:
    pair.near.s3.put_object(Bucket="uploads", Key="text.mp4", Body=b"no film at all")
    job = pair.near.wait_job("text.mp4")
    (far,) = pair.far_jobs("text.mp4")
    assert (job["Status"], job["ErrorCode"]) == ("ERROR", 1010)
    assert job["ErrorMessage"] == far["ErrorMessage"]
    assert pair.near.keys(prefix="text.mp4/") == []


def test_cancelling_here_cancels_there(pair: Pair, clips: Clips) -> None:
    pair.upload(clips.file(LONG), "long.mp4")
    (far,) = eventually(lambda: pair.far_jobs("long.mp4"), 60, "the job is forwarded")
    (near,) = pair.near.jobs_of("long.mp4")
    pair.near.mediaconvert.cancel_job(Id=near["Id"])
    assert pair.near.wait_status(near["Id"])["Status"] == "CANCELED"
    assert pair.far.wait_status(far["Id"])["Status"] == "CANCELED"


def test_job_that_is_cancelled_there_is_cancelled_here(pair: Pair, clips: Clips) -> None:
    pair.upload(clips.file(LONG), "there.mp4")
    (far,) = eventually(lambda: pair.far_jobs("there.mp4"), 60, "the job is forwarded")
    pair.far.mediaconvert.cancel_job(Id=far["Id"])
    assert pair.near.wait_job("there.mp4")["Status"] == "CANCELED"
    assert pair.near.keys(prefix="there.mp4/") == []


def test_cancellation_reaches_a_service_that_was_away(pair: Pair, clips: Clips) -> None:
    pair.upload(clips.file(LONG), "unheard.mp4")
    (far,) = eventually(lambda: pair.far_jobs("unheard.mp4"), 60, "the job is forwarded")
    (near,) = pair.near.jobs_of("unheard.mp4")
    pair.far.kill()
    pair.near.mediaconvert.cancel_job(Id=near["Id"])
    assert pair.near.wait_status(near["Id"])["Status"] == "CANCELED"
    pair.near.kill()
    pair.far.start()
    pair.near.start()
    assert pair.far.wait_status(far["Id"])["Status"] == "CANCELED"


def test_killed_server_finds_its_job_again(pair: Pair, clips: Clips) -> None:
    pair.upload(clips.file(LONG), "killed.mp4")
    eventually(lambda: pair.far_jobs("killed.mp4"), 60, "the job is forwarded")
    pair.near.kill()
    pair.near.start()
    job = pair.near.wait_job("killed.mp4")
    assert job["Status"] == "COMPLETE", job
    assert len(pair.far_jobs("killed.mp4")) == 1


def test_job_waits_for_an_unreachable_service(pair: Pair, clips: Clips) -> None:
    pair.upload(clips.file(LONG), "away.mp4")
    eventually(lambda: pair.far_jobs("away.mp4"), 60, "the job is forwarded")
    (near,) = pair.near.jobs_of("away.mp4")
    pair.far.stop()
    eventually(lambda: "does not answer" in pair.near.log(), 60, "the log says that the other service does not answer")
    assert pair.near.mediaconvert.get_job(Id=near["Id"])["Job"]["Status"] == "PROGRESSING"
    pair.far.start()
    assert pair.near.wait_status(near["Id"])["Status"] == "COMPLETE"
    assert len(pair.far_jobs("away.mp4")) == 1


def test_unsupported_settings_are_forwarded(pair: Pair) -> None:
    settings = {
        "Inputs": [{"FileInput": "s3://uploads/x.mp4"}],
        "KantarWatermark": {"ChannelName": "c", "LogDestination": "s3://l/", "CredentialsSecretName": "s"},
        "OutputGroups": [
            {
                "OutputGroupSettings": {
                    "Type": "FILE_GROUP_SETTINGS",
                    "FileGroupSettings": {"Destination": "s3://renditions/x/"},
                },
                "Outputs": [{"Preset": "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps"}],
            }
        ],
    }
    pair.near.s3.put_object(Bucket="uploads", Key="x.mp4", Body=b"x", Metadata={"abanico": "no"})
    job = pair.near.mediaconvert.create_job(Role="arn:aws:iam::111122223333:role/r", Settings=settings)["Job"]
    done = pair.near.wait_status(job["Id"])
    # The other abanico refuses the job, and its reason is passed on.
    assert (done["Status"], done["ErrorCode"]) == ("ERROR", 1040)
    assert "the other service refused the job" in done["ErrorMessage"]
    assert "kantarWatermark" in done["ErrorMessage"]


def test_missing_mediaconvert_table_is_named(tmp_path: Path) -> None:
    server = Server(tmp_path / "alone", 'engine = "mediaconvert"\n')
    with pytest.raises(AssertionError, match="add a table \\[mediaconvert\\]"):
        server.start()
    server.end()
