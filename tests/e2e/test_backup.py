"""Is every object there again, with its bytes and metadata, after each kind of loss: by a rebuilt index or a backup?"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import Server, binary, eventually

BUCKET = "masters"
PART = 5 << 20
SOURCE = Clip(width=1280, height=720, frames=75)


def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess:
    """Runs a command of the program and compares its exit status."""
    command = [str(binary()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def fill(server: Server) -> None:
    """Stores objects by every request that makes or changes one."""
    s3 = server.s3
    s3.create_bucket(Bucket=BUCKET)
    for number in range(20):
        s3.put_object(Bucket=BUCKET, Key=f"plain/{number} ü.bin", Body=bytes([number]) * (number * 1000),
                      ContentType="video/mp4", CacheControl="max-age=5", Metadata={"number": str(number)})  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key="plain/3 ü.bin", Body=b"replaced", Tagging="a=1")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "plain/4 ü.bin"})
    s3.put_object_tagging(Bucket=BUCKET, Key="copy", Tagging={"TagSet": [{"Key": "of", "Value": "four"}]})
    s3.delete_object(Bucket=BUCKET, Key="plain/5 ü.bin")
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="film", Metadata={"kind": "film"})["UploadId"]
    parts = []
    for number, body in ((1, b"1" * PART), (2, b"2" * 100)):
        part = s3.upload_part(Bucket=BUCKET, Key="film", UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=BUCKET, Key="film", UploadId=upload, MultipartUpload={"Parts": parts})


def objects(server: Server, bucket: str = BUCKET) -> dict[str, dict]:
    """Everything that a client sees of the objects of a bucket."""
    s3, seen = server.s3, {}
    for key in server.keys(bucket):
        answer = s3.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        body = answer.pop("Body").read()
        answer.pop("ResponseMetadata")
        tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        seen[key] = {**answer, "body": body, "tags": tags}
    return seen


def refused_start(server: Server) -> str:
    """Starts the server, which must refuse, and returns what it wrote."""
    command = [str(binary()), "serve", "--listen", "127.0.0.1:0", "--data", str(server.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    return done.stderr


def remove(*names: str) -> Callable[[Path], None]:
    """A loss: files below the folder of objects are removed."""
    return lambda folder: [(folder / name).unlink(missing_ok=True) for name in names]


def cut(size: int) -> Callable[[Path], None]:
    """A loss: the index is cut to a size, and its log is gone."""

    def do(folder: Path) -> None:
        with (folder / "index.db").open("r+b") as file:
            file.truncate(size)
        remove("index.db-wal", "index.db-shm")(folder)

    return do


def flip(folder: Path) -> None:
    """A loss: a whole page of the index is overwritten, and its log, which could have the page too, is gone."""
    with (folder / "index.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xaa" * 4096)
    remove("index.db-wal", "index.db-shm")(folder)


LOSSES = {
    "index removed": remove("index.db", "index.db-wal", "index.db-shm"),
    "index removed, its log stays": remove("index.db"),
    "index cut to nothing": cut(0),
    "index cut to a page": cut(4096),
    "page overwritten": flip,
}


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_lost_index_is_refused_and_rebuilt(fresh_server: Server, is_killed: bool) -> None:
    server = fresh_server.start()
    fill(server)
    seen = objects(server)
    for name, loss in LOSSES.items():
        server.kill() if is_killed else server.stop()
        loss(server.data / "s3")
        blobs = sorted(path for path in (server.data / "s3" / "blobs").rglob("*") if path.is_file())
        told = refused_start(server)
        assert "abanico s3 fsck" in told and "--repair" in told and "hint:" in told, (name, told)
        run("s3", "fsck", "--data", server.data, status=1)
        after = sorted(path for path in (server.data / "s3" / "blobs").rglob("*") if path.is_file())
        assert after == blobs, name
        run("s3", "fsck", "--data", server.data, "--repair", status=1)
        run("s3", "fsck", "--data", server.data, "--verify", status=0)
        server.start()
        assert objects(server) == seen, name
    run("s3", "fsck", "--data", server.data, status=2)


def test_log_lost_after_a_kill_is_refused_and_rebuilt(fresh_server: Server) -> None:
    server = fresh_server.start()
    fill(server)
    # After a clean stop the index is one file; what follows is in the log alone.
    assert server.stop() == 0
    log = server.data / "s3" / "index.db-wal"
    assert not log.exists() or log.stat().st_size == 0
    server.start()
    server.s3.put_object(Bucket=BUCKET, Key="later", Body=b"later")
    server.s3.delete_object(Bucket=BUCKET, Key="copy")
    seen = objects(server)
    server.kill()
    remove("index.db-wal", "index.db-shm")(server.data / "s3")
    assert "older than the blobs" in refused_start(server)
    run("s3", "fsck", "--data", server.data, "--repair", status=1)
    server.start()
    assert objects(server) == seen


def test_rebuilt_index_starts_no_second_job(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    server.s3.upload_file(str(clips.file(SOURCE)), "uploads", "film.mp4")
    job = server.wait_job("film.mp4")
    assert job["Status"] == "COMPLETE"
    renditions = objects(server, "renditions")
    assert server.stop() == 0
    remove("index.db")(server.data / "s3")
    run("s3", "fsck", "--data", server.data, "--repair", status=1)
    server.start()
    assert "found uploads without a job" in server.log()
    server.s3.upload_file(str(clips.file(SOURCE)), "uploads", "second.mp4")
    server.wait_job("second.mp4")
    assert [it["Id"] for it in server.jobs_of("film.mp4")] == [job["Id"]], "the upload had its job"
    now = objects(server, "renditions")
    assert {key: now[key] for key in renditions} == renditions


class Uploads:
    """Uploads objects one after the other, and removes every third again, until it is told to stop."""

    def __init__(self, server: Server) -> None:
        self._s3, self._stop = server.client("s3"), threading.Event()
        self.acknowledged: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            key = f"running/{number}"
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode() * 1000)
            self.acknowledged.append(key)
            if number % 3 == 0:
                self._s3.delete_object(Bucket=BUCKET, Key=key)
            number += 1

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()


def test_backup_of_a_running_server_is_restored_after_each_loss(
    fresh_server: Server, clips: Clips, tmp_path: Path
) -> None:
    server = fresh_server.start()
    fill(server)
    seen = objects(server)
    server.s3.upload_file(str(clips.file(Clip(width=1280, height=720, frames=200))), "uploads", "film.mp4")
    eventually(lambda: server.encoders(), 60, "the job encodes")
    uploads = Uploads(server)
    eventually(lambda: len(uploads.acknowledged) > 20, 60, "uploads run")
    before = set(uploads.acknowledged)
    backup = tmp_path / "backup"
    run("backup", "--data", server.data, "--to", backup)
    eventually(lambda: len(uploads.acknowledged) > len(before) + 20, 60, "uploads go on")
    uploads.stop()
    run("restore", "--from", backup, "--data", server.data, "--replace", status=1)
    assert server.mediaconvert.list_jobs()["Jobs"], "a running server keeps its folder"

    for loss in ("index.db", "everything"):
        server.kill()
        if loss == "everything":
            shutil.rmtree(server.data)
        else:
            remove(loss)(server.data / "s3")
            run("restore", "--from", backup, "--data", server.data, status=2)
        run("restore", "--from", backup, "--data", server.data, "--replace")
        run("s3", "fsck", "--data", server.data, "--verify", status=0)
        server.start()
        now = objects(server)
        assert {key: now.get(key) for key in seen} == seen, loss
        running = {key for key in now if key.startswith("running/")}
        kept = {key for key in before if int(key.rpartition("/")[2]) % 3}
        assert kept - {max(kept, key=lambda key: int(key.rpartition("/")[2]))} <= running, loss
        assert all(now[key]["body"] == key.encode() * 1000 for key in running)
        jobs = eventually(lambda: server.jobs_of("film.mp4"), 60, "the upload has its job")
        assert [server.wait_status(job["Id"])["Status"] for job in jobs] == ["COMPLETE"]
    kept_folders = [path.name for path in server.folder.iterdir() if path.name.startswith("data.before-")]
    assert len(kept_folders) == 1, "what was replaced is kept"


def test_backup_that_was_broken_off_is_refused(fresh_server: Server, tmp_path: Path) -> None:
    server = fresh_server.start()
    fill(server)
    backup, target = tmp_path / "backup", tmp_path / "target"
    run("backup", "--data", server.data, "--to", backup)
    (backup / "manifest.json").rename(tmp_path / "kept.json")
    assert "not a complete backup" in run("restore", "--from", backup, "--data", target, status=2).stderr
    (tmp_path / "kept.json").rename(backup / "manifest.json")
    largest = max((path for path in backup.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    body = largest.read_bytes()
    largest.unlink()
    largest.write_bytes(body[:-1] + b"?")
    told = run("restore", "--from", backup, "--data", target, status=2).stderr
    assert "is damaged" in told and largest.name in told
    assert not target.exists() and [path for path in tmp_path.iterdir() if "restoring" in path.name] == []
