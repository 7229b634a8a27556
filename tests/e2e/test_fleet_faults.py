"""What happens when a part of a fleet dies, hangs, is told to stop or cannot work? Every job must complete, nothing may be
done twice that was stored, and nothing may stay behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import HEARTBEAT_SECONDS, Fleet, Worker, fleet
from harness import eventually
from outputs import ROLE, settings
from test_chunks import film, rung
from test_full_disk import small_disk
from test_scatter import source


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet without workers, and a film."""
    with fleet(tmp_path, encoders=2) as made:
        made.server.s3.create_bucket(Bucket="masters")
        made.server.s3.upload_file(str(film(tmp_path / "film.mp4")), "masters", "film.mp4")
        yield made


def submit(own: Fleet, name: str = "film") -> str:
    """Submits a job of two rungs in chunks, and returns its id."""
    rungs = [rung(one, width, QualityTuningLevel="MULTI_PASS_HQ") for one, width in [("a", 640), ("b", 320)]]
    job = settings([source("s3://masters/film.mp4")], rungs, f"s3://renditions/{name}/film")
    return own.server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]["Id"]


def encoding(worker: Worker) -> None:
    """Waits until a worker encodes a chunk."""
    eventually(lambda: worker.encoders() and "chunk-" in worker.log(), 60, f"{worker.name} encodes a chunk")


def completes(own: Fleet, job: str, name: str = "film", seconds: float = 180) -> None:
    """Waits until a job is complete. Nothing that was stored may have been done again, and nothing may stay behind."""
    done = own.server.wait_status(job, seconds=seconds)
    assert done["Status"] == "COMPLETE", (done.get("ErrorCode"), done.get("ErrorMessage"))
    assert own.server.keys(prefix=f"{name}/") == [f"{name}/film_a.mp4", f"{name}/film_b.mp4"]
    stored = [line["task"] for worker in own.workers for line in worker.said("a task is done") if line["job.id"] == job]
    assert sorted(stored) == sorted(set(stored)), "a task was done twice"
    own.leaves_nothing()


def test_killed_worker_loses_its_task_to_another(own: Fleet) -> None:
    first = own.worker("first", "--slots", "1")
    job = submit(own)
    encoding(first)
    first.kill()
    lost = first.said("a task begins")[-1]["task"]
    killed = time.monotonic()
    second = own.worker("second", "--slots", "1")
    ready = time.monotonic()
    again = lambda: any(line["task"] == lost for line in second.said("a task begins"))  # noqa: E731
    eventually(again, HEARTBEAT_SECONDS + 5 + (ready - killed) + 60, "the lost task begins elsewhere")
    completes(own, job)
    assert not first.encoders(), "no ffmpeg outlives its worker"


def test_killed_server_goes_on_with_its_jobs(own: Fleet) -> None:
    worker = own.worker("only", "--slots", "1")
    job = submit(own)
    encoding(worker)
    own.server.kill()
    own.server.start()
    completes(own, job)


def test_killed_temporal_goes_on_with_its_jobs(own: Fleet) -> None:
    worker = own.worker("only", "--slots", "1")
    job = submit(own)
    encoding(worker)
    own.temporal.kill()
    time.sleep(2)
    own.temporal.start()
    done = own.server.wait_status(job, seconds=240)
    assert done["Status"] == "COMPLETE", (done.get("ErrorCode"), done.get("ErrorMessage"))
    own.leaves_nothing()


def test_worker_that_is_told_to_stop_hands_its_task_back(own: Fleet) -> None:
    first = own.worker("first", "--slots", "1", "--grace-seconds", "1")
    job = submit(own)
    encoding(first)
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(30) == 0, first.log()
    assert "1 s to end, then other workers get them" in first.log()
    own.worker("second", "--slots", "2")
    completes(own, job)


def test_cancelled_job_ends_everywhere_within_five_seconds(own: Fleet) -> None:
    workers = [own.worker(name, "--slots", "1") for name in ("first", "second")]
    job = submit(own)
    for worker in workers:
        encoding(worker)
    own.server.mediaconvert.cancel_job(Id=job)
    began = time.monotonic()
    eventually(lambda: not any(worker.encoders() for worker in workers), 30, "every ffmpeg of the job has ended")
    took = time.monotonic() - began
    assert own.server.wait_status(job)["Status"] == "CANCELED"
    assert own.server.keys(prefix="film/") == []
    own.leaves_nothing()
    print(f"all ffmpeg ended {took:.1f} s after the cancellation")
    other = submit(own, "other")
    completes(own, other, "other")


def wrapped(folder: Path, name: str, script: str) -> dict[str, str]:
    """Returns the environment of a worker whose ffmpeg is a script; `$REAL` is the real one."""
    program = folder / name
    program.write_text(f"#!/bin/sh\nREAL=$(command -v ffmpeg)\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return {"ABANICO_FFMPEG": str(program)}


def test_worker_whose_ffmpeg_crashes_is_put_aside(own: Fleet, tmp_path: Path) -> None:
    """It passes its first test, and crashes on everything from then on."""
    mark = tmp_path / "broken"
    script = f'[ -e "{mark}" ] && case "$*" in *-version*|*-encoders*|*-filters*) ;; *) kill -SEGV $$;; esac\nexec "$REAL" "$@"'
    broken = own.worker("broken", "--slots", "2", "--sandbox", "off", environment=wrapped(tmp_path, "crashing", script))
    mark.touch()
    job = submit(own)
    eventually(lambda: broken.said("this machine takes no more tasks until it passes its test"), 90, "the broken worker stops taking tasks")
    own.worker("sound", "--slots", "2")
    completes(own, job)
    assert not broken.said("a task is done")


def test_broken_worker_does_not_begin(own: Fleet, tmp_path: Path) -> None:
    script = 'case "$*" in *-version*|*-encoders*|*-filters*) exec "$REAL" "$@";; *) exit 1;; esac'
    broken = own.worker("broken", "--sandbox", "off", environment=wrapped(tmp_path, "failing", script), started=False).begin()
    assert broken.process.wait(60) == 3, broken.log()
    assert "ffmpeg does not work" in broken.log() and "start the worker again" in broken.log()


def test_worker_with_another_ffmpeg_gets_no_task(own: Fleet, tmp_path: Path) -> None:
    change = "sed '1s/version [^ ]*/version 9.9-other/'"
    # Its banner, which is on stderr, goes through the change.
    script = f'{{ "$REAL" "$@" 3>&1 1>&2 2>&3 | {change}; }} 3>&1 1>&2 2>&3'
    other = own.worker("other", "--sandbox", "off", environment=wrapped(tmp_path, "another", script))
    assert "ffmpeg-9.9-other" in other.log()
    job = submit(own)
    own.worker("same")
    completes(own, job)
    assert not other.said("a task begins")


def test_worker_without_room_does_not_begin(own: Fleet, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "20m") as small:
        cramped = own.worker("cramped", "--folder", str(small), started=False).begin()
        assert cramped.process.wait(60) == 3, cramped.log()
        assert "MiB of free space" in cramped.log()


def test_workers_are_listed_with_what_they_do(own: Fleet) -> None:
    worker = own.worker("listed", "--slots", "1")
    job = submit(own)
    encoding(worker)
    command = worker.command()
    where = [command[0], "workers", "--json", "--temporal", own.temporal.address]

    def at_work() -> dict:
        done = subprocess.run(where, capture_output=True, text=True, timeout=60, env={**os.environ})
        assert done.returncode == 0, done.stderr
        listed = json.loads(done.stdout)["workers"]
        return next((one for one in listed if one["name"] == "listed" and one["tasks"]), {})

    seen = eventually(at_work, 60, "the worker is listed with its task")
    assert seen["tasks"][0]["job"] == job
    completes(own, job)


def test_progress_grows_while_the_fleet_works(own: Fleet) -> None:
    own.worker("only", "--slots", "1")
    job = submit(own)
    seen = set()

    def ended() -> bool:
        now = own.server.mediaconvert.get_job(Id=job)["Job"]
        seen.add(now.get("JobPercentComplete", 0))
        return now["Status"] in ("COMPLETE", "ERROR")

    eventually(ended, 180, "the job ends")
    assert len([percent for percent in seen if 2 < percent < 95]) >= 2, seen
    completes(own, job)


def test_straggler_begins_again_elsewhere(own: Fleet, tmp_path: Path) -> None:
    """One encode of a chunk hangs."""
    mark = tmp_path / "hangs"
    script = f'case "$*" in *chunk-*) [ -e "{mark}" ] && rm "{mark}" && sleep 600;; esac\nexec "$REAL" "$@"'
    slow = own.worker("slow", "--slots", "1", "--sandbox", "off", environment=wrapped(tmp_path, "hanging", script))
    job = submit(own)
    eventually(lambda: "chunk-" in slow.log(), 60, "the slow worker has a chunk")
    mark.touch()
    own.worker("quick", "--slots", "1")
    completes(own, job)
    assert "an encode takes too long and is started a second time" in own.server.log()
    begun = [line["task"] for line in slow.said("a task begins") if line["task"].startswith("chunk-")]
    done = own.done_by(job)
    assert any(done[task] == "quick" for task in begun), (begun, done)
    assert not slow.encoders()


def test_workflow_that_is_terminated_at_temporal_begins_anew(own: Fleet) -> None:
    worker = own.worker("only", "--slots", "1")
    job = submit(own)
    encoding(worker)
    done = own.temporal.asked("workflow", "terminate", "--workflow-id", job, "--reason", "test")
    assert done.returncode == 0, done.stderr
    ended = own.server.wait_status(job)
    assert ended["Status"] == "COMPLETE", (ended.get("ErrorCode"), ended.get("ErrorMessage"))
    own.leaves_nothing()


def test_workflow_that_is_cancelled_at_temporal_cancels_the_job(own: Fleet) -> None:
    worker = own.worker("only", "--slots", "1")
    job = submit(own)
    encoding(worker)
    done = own.temporal.asked("workflow", "cancel", "--workflow-id", job)
    assert done.returncode == 0, done.stderr
    assert own.server.wait_status(job)["Status"] == "CANCELED"
    own.leaves_nothing()
