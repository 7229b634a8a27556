"""Does one stored record that cannot be read stop anything but itself, and is it told?"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import RADIO_PRESET, Server, all_jobs, binary, eventually

# One encode at a time and two jobs at once: the others wait.
CONFIG = "[engine]\ncores = 1\nmax_active_jobs = 2\n"
LONG = Clip(width=640, height=360, frames=250)
SHORT = Clip(width=320, height=180, frames=25)
KEYS = ("plan.mp4", "record.mp4", "waits.mp4", "waits too.mp4")


@contextmanager
def rows(server: Server, name: str = "engine/jobs.sqlite") -> Iterator[sqlite3.Connection]:
    """The database of a stopped server; what is changed is stored."""
    with closing(sqlite3.connect(server.data / name)) as database, database:
        yield database


def spoil(database: sqlite3.Connection, sql: str, *values: object) -> None:
    """Changes rows, and fails unless there is one."""
    assert database.execute(sql, values).rowcount > 0, sql


def told(server: Server, path: str) -> str:
    """What the server answers to a request without credentials from this machine."""
    with urllib.request.urlopen(server.endpoint + path, timeout=30) as answer:
        assert answer.status == 200
        return answer.read().decode()


def job_id(server: Server, key: str) -> str:
    return server.jobs_of(key)[0]["Id"]


def records(server: Server, *arguments: str) -> list[dict]:
    """What `abanico records` prints."""
    command = [str(binary()), "records", "--data", str(server.data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def interrupted(server: Server, clips: Clips) -> dict[str, str]:
    """Leaves a killed server with an ended job, two that were encoding and two that wait; returns their ids."""
    server.config = CONFIG
    server.start()
    server.s3.upload_file(str(clips.file(SHORT)), "uploads", "done.mp4")
    server.wait_job("done.mp4")
    server.mediaconvert.create_preset(Name="mine", Settings=RADIO_PRESET)
    server.mediaconvert.create_preset(Name="other", Settings=RADIO_PRESET)
    for key in KEYS:
        server.s3.upload_file(str(clips.file(LONG)), "uploads", key)
        eventually(lambda key=key: server.jobs_of(key), 60, f"the job of {key}")
        if key in KEYS[:2]:
            encodes = lambda key=key: server.jobs_of(key)[0].get("CurrentPhase") == "TRANSCODING"  # noqa: E731
            eventually(encodes, 60, f"the encode of {key}")
    ids = {key: job_id(server, key) for key in ("done.mp4", *KEYS)}
    server.mediaconvert.tag_resource(Arn=server.jobs_of("waits.mp4")[0]["Arn"], Tags={"a": "b"})
    server.kill()
    return ids


def test_unreadable_records_stop_nothing_else(fresh_server: Server, clips: Clips) -> None:
    ids = interrupted(fresh_server, clips)
    with rows(fresh_server) as database:
        change = "UPDATE jobs SET record = replace(record, 'uploads', 'upl0ads') WHERE id = ?"
        spoil(database, change, ids["done.mp4"])
        spoil(database, change, ids["waits.mp4"])
        spoil(database, "UPDATE jobs SET record = substr(record, 1, 300) WHERE id = ?", ids["record.mp4"])
        spoil(database, "UPDATE tasks SET body = CAST(body AS BLOB) WHERE job = ?", ids["plan.mp4"])
        spoil(database, "UPDATE events SET body = '{' WHERE seq = 1")
        spoil(database, "UPDATE resources SET body = 'x' WHERE name = 'mine'")
        spoil(database, "UPDATE kept SET body = '' WHERE kind = 'tags'")
    with rows(fresh_server, "s3/index.db") as database:
        insert = """INSERT INTO outbox (bucket, key, sequencer, event_name, event, function, configuration_id, next_attempt_ms)
            VALUES ('uploads', 'gone.mp4', '00', 'ObjectCreated:Put', 'x', 'transcode-video', 'all', 0)"""
        spoil(database, insert)
    files = fresh_server.data / "engine" / "work" / ids["record.mp4"]
    assert (files / "input-0").exists()

    fresh_server.start()
    for key in ("plan.mp4", "waits too.mp4"):
        assert fresh_server.wait_status(ids[key])["Status"] == "COMPLETE", key
    fresh_server.s3.upload_file(str(clips.file(SHORT)), "uploads", "new.mp4")
    assert fresh_server.wait_job("new.mp4")["Status"] == "COMPLETE"
    assert (files / "input-0").exists(), "the files of a job that cannot be read stay"

    names = [
        *(f"jobs/{ids[key]}" for key in ("done.mp4", "record.mp4", "waits.mp4")),
        f"tasks/{ids['plan.mp4']}", "events/1", "resources/presets/mine", "kept/tags/", "outbox/",
    ]  # fmt: skip
    ready = eventually(lambda: (text := told(fresh_server, "/readyz")).count("put aside") >= len(names) and text, 60, "readyz")
    assert ready.startswith("ready, but degraded\n")
    assert [name for name in names if name not in ready] == [], ready
    metrics = told(fresh_server, "/metrics")
    for table, count in {"jobs": 3, "tasks": 1, "events": 1, "resources": 1, "kept": 1, "cursors": 0, "outbox": 1}.items():
        assert f'abanico_records_put_aside{{table="{table}"}} {count}\n' in metrics

    listed = fresh_server.mediaconvert.list_jobs()
    warning = listed["ResponseMetadata"]["HTTPHeaders"]["x-abanico-warning"]
    assert "unreadable records were put aside" in warning and f"jobs/{ids['record.mp4']}" in warning
    assert {job["Id"] for job in all_jobs(fresh_server.mediaconvert)} == {
        ids["plan.mp4"], ids["waits too.mp4"], job_id(fresh_server, "new.mp4")
    }  # fmt: skip
    assert [preset["Name"] for preset in fresh_server.mediaconvert.list_presets(ListBy="NAME")["Presets"] if preset["Type"] == "CUSTOM"] == ["other"]
    for call in (
        lambda: fresh_server.mediaconvert.get_job(Id=ids["done.mp4"]),
        lambda: fresh_server.mediaconvert.cancel_job(Id=ids["waits.mp4"]),
    ):
        with pytest.raises(ClientError, match="cannot be read and was put aside") as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "ConflictException"
    with pytest.raises(ClientError, match="presets/mine"):
        fresh_server.mediaconvert.get_preset(Name="mine")


def test_record_is_mended_and_put_back_or_dropped(fresh_server: Server, clips: Clips) -> None:
    ids = interrupted(fresh_server, clips)
    with rows(fresh_server) as database:
        for key in ("done.mp4", "waits.mp4"):
            spoil(database, "UPDATE jobs SET record = record || 'x' WHERE id = ?", ids[key])
    fresh_server.start()
    eventually(lambda: told(fresh_server, "/readyz").count("put aside") == 2, 60, "both are put aside")
    entries = {entry["name"]: entry for entry in records(fresh_server)}
    assert set(entries) == {ids["done.mp4"], ids["waits.mp4"]}
    waits, done = entries[ids["waits.mp4"]], entries[ids["done.mp4"]]
    assert waits["table"] == "jobs" and waits["reason"] == "its checksum is wrong"
    [shown] = records(fresh_server, "show", str(waits["id"]))
    assert shown["record"].endswith("}x") and shown["stage"] == "SUBMITTED"

    with rows(fresh_server) as database:
        spoil(database, "UPDATE jobs_aside SET record = ? WHERE id = ?", shown["record"][:-1], ids["waits.mp4"])
    records(fresh_server, "put-back", str(waits["id"]))
    assert fresh_server.wait_status(ids["waits.mp4"])["Status"] == "COMPLETE"
    records(fresh_server, "drop", str(done["id"]))
    assert records(fresh_server) == []
    assert told(fresh_server, "/readyz") == "ready\n"
    assert "x-abanico-warning" not in fresh_server.mediaconvert.list_jobs()["ResponseMetadata"]["HTTPHeaders"]
    with pytest.raises(ClientError) as gone:
        fresh_server.mediaconvert.get_job(Id=ids["done.mp4"])
    assert gone.value.response["Error"]["Code"] == "NotFoundException"


@pytest.mark.parametrize(("name", "remedy"), [("engine/jobs.sqlite", ".recover"), ("s3/index.db", "abanico s3 fsck")])
def test_damaged_database_is_refused_with_a_remedy(fresh_server: Server, name: str, remedy: str) -> None:
    fresh_server.start()
    for number in range(40):
        fresh_server.s3.put_object(Bucket="renditions", Key=f"{number:03}" * 100, Body=b"x")
        fresh_server.mediaconvert.create_preset(Name=f"p{number}", Settings=RADIO_PRESET, Description="d" * 3000)
    fresh_server.stop()
    with rows(fresh_server, name) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file = fresh_server.data / name
    whole = file.read_bytes()
    # Overwrites pages in the middle; the first ones name the tables.
    at = len(whole) // 2 // 4096 * 4096
    file.write_bytes(whole[:at] + b"\xff" * 8192 + whole[at + 8192 :])
    command = [str(binary()), "serve", "--listen", "127.0.0.1:0", "--data", str(fresh_server.data)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert refused.returncode == 1
    assert Path(name).name in refused.stderr and "is damaged" in refused.stderr and remedy in refused.stderr, refused.stderr
    file.write_bytes(whole)
    fresh_server.start()
    assert told(fresh_server, "/readyz") == "ready\n"

