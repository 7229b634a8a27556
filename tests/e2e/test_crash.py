"""Does a server that is killed over and over, at random moments, process every acknowledged upload exactly once?"""

from __future__ import annotations

import random
import threading
import time
from fractions import Fraction
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from clips import Clip, Clips
from harness import FINAL, Server, all_jobs, eventually
from media_facts import decode_complaints
from outputs import AAC, ROLE, h264, output, settings, streams, upload
from test_captions import captioned, description, sidecar
from test_fragments import rungs
from test_fragments import settings as fragments
from transcoding import Expected, check_rendition

SEED = 20_260_601
KILLS = 12
LONGEST_WAIT_MS = 2500
SOURCE = Clip(width=1280, height=720, frames=25)
SIZES = {"720p": (1280, 720), "480p": (854, 480)}
DRAIN_SECONDS = 300


class Uploader:
    """Runs one upload in its own thread, so that a kill can interrupt it, and records whether the server acknowledged it."""

    def __init__(self, server: Server, key: str, body: bytes) -> None:
        # No retries: an upload counts as acknowledged only if its one request succeeds.
        self._s3 = server.client("s3", config=Config(retries={"total_max_attempts": 1}, read_timeout=30))
        self._key, self._body = key, body
        self.is_acknowledged = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._s3.put_object(Bucket="uploads", Key=self._key, Body=self._body)
            self.is_acknowledged = True
        except (BotoCoreError, ClientError, HTTPClientError):
            pass

    def wait(self) -> None:
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "an upload to a killed server must end"


def test_acknowledged_uploads_survive_kills(
    fresh_server: Server, clips: Clips, tmp_path: Path
) -> None:
    moments = random.Random(SEED)
    body = clips.file(SOURCE).read_bytes()
    acknowledged, sent = [], []
    for number in range(KILLS):
        fresh_server.start()
        key = f"film {number}.mp4"
        upload = Uploader(fresh_server, key, body)
        # This waits for no event: the random moment of the kill is the point of the test.
        time.sleep(moments.randrange(LONGEST_WAIT_MS) / 1000)
        fresh_server.kill()
        upload.wait()
        sent.append(key)
        acknowledged += [key] if upload.is_acknowledged else []
        eventually(lambda: fresh_server.leftovers() == [], 5, "no ffmpeg outlives its server")
    assert len(acknowledged) >= KILLS // 2, "at least half of the uploads must be acknowledged, else little is tested"

    fresh_server.start()
    stored = fresh_server.keys("uploads")
    assert set(acknowledged) <= set(stored) <= set(sent)
    eventually(lambda: _all_at_their_end(fresh_server, len(stored)), DRAIN_SECONDS, "all jobs have ended")
    for key in stored:
        jobs = fresh_server.jobs_of(key)
        assert [job["Status"] for job in jobs] == ["COMPLETE"], (key, jobs)
        assert fresh_server.s3.get_object(Bucket="uploads", Key=key)["Body"].read() == body
    wanted = sorted(f"{key}/{Path(key).stem}_{ending}.mp4" for key in stored for ending in SIZES)
    assert fresh_server.keys() == wanted, "no stray object"
    expected = Expected(sizes=SIZES, rate=Fraction(SOURCE.rate), frames=SOURCE.frames, has_sound=True)
    for key in wanted:
        ending = key.rpartition("_")[2].removesuffix(".mp4")
        check_rendition(fresh_server.download(key, tmp_path / "made.mp4"), SIZES[ending], expected)
    assert _work_left(fresh_server) == [], "no work folder of a finished job is left"
    assert fresh_server.stop() == 0
    assert fresh_server.leftovers() == []


def test_job_with_every_task_kind_survives_kills(fresh_server: Server, clips: Clips, tmp_path: Path) -> None:
    server = fresh_server.start()
    server.s3.create_bucket(Bucket="masters")
    two = h264(RateControlMode="VBR", Bitrate=400_000, MaxBitrate=600_000, QualityTuningLevel="MULTI_PASS_HQ")
    source = captioned(server, clips) | {"FileInput": upload(server, clips.file(Clip(frames=500)), "killed.mp4")}
    burnt = output("MP4", two, [AAC], NameModifier="_v", CaptionDescriptions=[description("BURN_IN")])
    job = settings([source], [burnt, sidecar("SRT", "_s")], "s3://renditions/killed/file")
    group = {"SegmentControl": "SEGMENTED_FILES"}
    job["OutputGroups"] += fragments(source["FileInput"], "CMFC", "killed-cmaf", group, rungs("CMFC"))["OutputGroups"]
    identity = server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]["Id"]
    for pause_s in (0.4, 0.8, 1.2, 1.7, 2.3, 3.0):
        # This waits for no event: the random moment of the kill is the point of the test.
        time.sleep(pause_s)
        server.kill()
        server.start()
    done = server.wait_status(identity)
    assert done["Status"] == "COMPLETE", done
    file = server.download("killed/file_v.mp4", tmp_path / "v.mp4")
    assert [stream["nb_read_packets"] for stream in streams(file)][0] == "500" and decode_complaints(file) == ""
    assert "killed/file_s.srt" in server.keys(prefix="killed/")
    # 20 s in segments of 4 s: an initialisation section and five segments per stream, three playlists, and the two manifests
    # that list them.
    assert len(server.keys(prefix="killed-cmaf/")) == 3 * (5 + 1) + 3 + 2
    assert not list((server.data / "engine" / "work").iterdir()), "no work folder of a finished job is left"
    assert server.stop() == 0 and server.leftovers() == []


def _all_at_their_end(server: Server, least: int) -> bool:
    jobs = all_jobs(server.mediaconvert)
    return len(jobs) >= least and all(job["Status"] in FINAL for job in jobs)


def _work_left(server: Server) -> list[Path]:
    return [path for path in server.data.rglob("video-*.mp4") if path.is_file()]
