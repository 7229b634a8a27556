"""Does what was kept long enough go, and nothing else? And does `abanico gc` say what takes room?"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server, all_jobs, binary, eventually

CLIP = Clip(width=320, height=180, frames=25)
DAY_MS = 24 * 3_600 * 1_000


def gc(server: Server, *words: str, status: int = 0) -> dict:
    """Runs `abanico gc` with the server's keys and returns its answer."""
    keys = {"ABANICO_ACCESS_KEY_ID": server.key_pair[0], "ABANICO_SECRET_ACCESS_KEY": server.key_pair[1]}
    done = subprocess.run(
        [str(binary()), "gc", "--data", str(server.data), "--json", *words], capture_output=True, text=True, timeout=120,
        env={**os.environ, **keys}, cwd=server.folder,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def row(answer: dict, what: str) -> dict:
    """A row of what takes room."""
    (found,) = [one for one in answer["room"] if one["what"] == what]
    return found


def age_jobs(server: Server, key: str, days: int) -> None:
    """Makes the jobs of an upload older, as if they had ended then."""
    then = int(time.time() * 1000) - days * DAY_MS
    with sqlite3.connect(server.data / "engine" / "jobs.sqlite") as database:
        # A record without a checksum is one of an older version.
        changed = database.execute(
            "UPDATE jobs SET submitted_ms = ?1, checksum = NULL, record = json_set(record, '$.times.submitted_ms', ?1,"
            " '$.times.started_ms', ?1, '$.times.finished_ms', ?1) WHERE instr(record, ?2)", (then, f"/{key}"),
        )  # fmt: skip
        assert changed.rowcount == 1
        # The events of all jobs are as old.
        database.execute("UPDATE events SET checksum = NULL, body = json_set(body, '$.detail.timestamp', ?)", (then,))
    database.close()


def age_uploads(server: Server, key: str, days: int) -> None:
    """Makes an upload in progress older."""
    then = int(time.time() * 1000) - days * DAY_MS
    with sqlite3.connect(server.data / "s3" / "index.db") as index:
        (id_,) = index.execute("SELECT id FROM uploads WHERE key = ?", (key,)).fetchone()
        index.execute("UPDATE uploads SET created_ms = ? WHERE id = ?", (then, id_))
        index.execute("UPDATE parts SET modified_ms = ? WHERE upload = ?", (then, id_))
    index.close()


@pytest.fixture(scope="module")
def used(server: Server, clips: Clips) -> Server:
    """A server with an old job, a new job, an old and a new upload in progress, and kept encodes."""
    for key, frames in (("old.mp4", 25), ("new.mp4", 26)):
        server.s3.upload_file(str(clips.file(Clip(width=320, height=180, frames=frames))), "uploads", key)
        assert server.wait_job(key)["Status"] == "COMPLETE"
    for key in ("left.bin", "going-on.bin"):
        upload = server.s3.create_multipart_upload(Bucket="uploads", Key=key)["UploadId"]
        server.s3.upload_part(Bucket="uploads", Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 1000)
    assert server.stop() == 0
    age_jobs(server, "old.mp4", 91)
    age_uploads(server, "left.bin", 8)
    return server


def test_stopped_and_running_server_tell_the_same_room(used: Server) -> None:
    old = used.data / "s3" / "quarantine" / "2020-01-01T00-00-00.000Z"
    old.mkdir(parents=True)
    (old / "stray").write_bytes(b"12345")
    stopped = gc(used)
    assert (row(stopped, "quarantine")["bytes"], row(stopped, "quarantine")["freeableBytes"]) == (5, 5)
    assert (old / "stray").exists(), "without --free, nothing is deleted"
    used.start()
    running = gc(used)
    assert not old.exists(), "the start of a server empties the quarantine"
    for answer in (stopped, running):
        uploads = row(answer, "incomplete uploads")
        assert (uploads["count"], uploads["bytes"], uploads["freeableBytes"]) == (2, 2000, 1000)
        assert row(answer, "objects in uploads")["count"] == 2
        assert row(answer, "objects in renditions")["count"] == len(used.keys("renditions"))
        assert row(answer, "finished jobs")["count"] == 2
        assert row(answer, "kept encodes")["bytes"] > 0
        assert answer["disk"]["freeBytes"] > 0 and answer["freed"] is None
    assert len(all_jobs(used.mediaconvert)) == 2, "without --free, nothing is changed"


def test_gc_beside_a_running_server_frees_only_what_is_old(used: Server) -> None:
    outputs = used.keys("renditions")
    [old] = used.jobs_of("old.mp4")
    freed = gc(used, "--free")["freed"]
    assert (freed["jobs"], freed["uploads"]) == (1, 1) and freed["keptEncodeBytes"] > 0 and freed["events"] > 0
    assert [job["UserMetadata"]["abanico.key"] for job in all_jobs(used.mediaconvert)] == ["new.mp4"]
    with pytest.raises(ClientError, match="NotFoundException"):
        used.mediaconvert.get_job(Id=old["Id"])
    open_uploads = used.s3.list_multipart_uploads(Bucket="uploads")["Uploads"]
    assert [upload["Key"] for upload in open_uploads] == ["going-on.bin"]
    assert used.keys("renditions") == outputs, "the outputs of expired jobs stay"
    again = gc(used, "--free")
    assert again["freed"] == {"jobs": 0, "events": 0, "uploads": 0, "keptEncodeBytes": 0}
    assert row(again, "kept encodes")["count"] == 0


def test_upload_gets_no_second_job_after_its_first_expired(used: Server) -> None:
    assert used.stop() == 0
    with sqlite3.connect(used.data / "s3" / "index.db") as index:
        # As after a repair of the index, nobody remembers which uploads were told.
        assert index.execute("DELETE FROM notified").rowcount >= 2
    index.close()
    used.start()
    assert "found uploads without a job" in used.log()

    def undelivered() -> int:
        with sqlite3.connect(f"file:{used.data / 's3' / 'index.db'}?mode=ro", uri=True) as index:
            return index.execute("SELECT COUNT(*) FROM outbox").fetchone()[0]

    eventually(lambda: undelivered() == 0, 30, "all events are delivered, and none is a dead letter")
    assert used.jobs_of("old.mp4") == [] and len(used.jobs_of("new.mp4")) == 1


def test_gc_of_a_stopped_server_obeys_its_configuration(used: Server, tmp_path: Path) -> None:
    assert used.stop() == 0
    age_jobs(used, "new.mp4", 3)
    config = tmp_path / "abanico.toml"
    config.write_text("[retention]\njob_days = 0\n")
    assert gc(used, "--free", "--config", str(config))["freed"]["jobs"] == 0
    config.write_text("[retention]\njob_days = 2\n")
    assert gc(used, "--free", "--config", str(config))["freed"]["jobs"] == 1
    used.start()
    assert all_jobs(used.mediaconvert) == []


def test_left_over_files_of_killed_runs_are_found(used: Server, tmp_path: Path) -> None:
    (tmp_path / ".abanico-work-1").mkdir()
    (tmp_path / ".abanico-work-1" / "half").write_bytes(b"x" * 10)
    (tmp_path / ".abanico-1-a-0.staged").write_bytes(b"x" * 100)
    (tmp_path / ".abanico-1-a-0.kept").write_bytes(b"x" * 1000)
    what = f"left by killed runs in {tmp_path}"
    told = row(gc(used, "--outputs", str(tmp_path)), what)
    assert (told["count"], told["bytes"], told["freeableBytes"]) == (3, 1110, 110)
    told = row(gc(used, "--outputs", str(tmp_path), "--free"), what)
    assert (told["count"], told["bytes"], told["freeableBytes"]) == (1, 1000, 0)
    assert [file.name for file in tmp_path.iterdir()] == [".abanico-1-a-0.kept"]


def test_wrong_folder_and_table_for_people(used: Server, tmp_path: Path) -> None:
    done = subprocess.run([str(binary()), "gc", "--data", str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "is not a data folder" in done.stderr
    keys = {"ABANICO_ACCESS_KEY_ID": used.key_pair[0], "ABANICO_SECRET_ACCESS_KEY": used.key_pair[1]}
    done = subprocess.run(
        [str(binary()), "gc", "--data", str(used.data)], capture_output=True, text=True, timeout=30, env={**os.environ, **keys}
    )
    assert done.stdout.splitlines()[0].split() == ["what", "count", "size", "can", "be", "freed"], done.stdout
    assert "run it again with --free" in done.stderr
