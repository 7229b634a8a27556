"""Is anything lost that was acknowledged, when processes are killed at random moments of all they do?

Each round begins something (an upload, an encode, a publication, a cancellation, a backup, a restore) and kills the server or
the command at a random moment. ABANICO_KILLS is the number of rounds and ABANICO_SEED their seed, which is printed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from clips import Clip, Clips
from harness import FINAL, Server, all_jobs, binary, eventually
from outputs import ROLE, settings

SEED = int(os.environ.get("ABANICO_SEED", "20261130"))
KILLS = int(os.environ.get("ABANICO_KILLS", "6"))
KINDS = ("upload", "encode", "publish", "cancel", "backup", "restore")
#: Rounds between two checks of everything that was ever acknowledged.
ROUNDS = 25
#: No kept encodes: each job encodes.
CONFIG = "[engine]\nresults_gib = 0\n"
FILM = Clip(width=640, height=360, frames=50)
PART = 5 << 20
ONE_TRY = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
DRAIN_SECONDS = 300


class Request(threading.Thread):
    """A request that a kill may interrupt; `is_acknowledged` only if it was answered."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work, self.is_acknowledged = work, False
        self.start()

    def run(self) -> None:
        try:
            self._work()
            self.is_acknowledged = True
        except (BotoCoreError, ClientError):
            pass

    def ended(self) -> bool:
        """Waits for the end, and returns whether the request was acknowledged."""
        self.join(timeout=60)
        assert not self.is_alive(), "a request to a killed server must end"
        return self.is_acknowledged


class Attack:
    """A server, and what it has acknowledged."""

    def __init__(self, server: Server, film: bytes, folder: Path) -> None:
        self.server, self.film, self.folder = server, film, folder
        self.chance = random.Random(SEED)
        #: Bytes of each acknowledged object, by bucket and key; None where the acknowledgement is missing.
        self.objects: dict[tuple[str, str], bytes | None] = {}
        self.deleted: set[tuple[str, str]] = set()
        self.cancelled: set[str] = set()
        self.done: Counter[str] = Counter()
        self.backup: tuple[Path, dict[tuple[str, str], bytes | None]] | None = None
        self.renditions: dict[str, str] = {}
        self.seconds = 0.0

    def measure(self) -> None:
        """Runs one job undisturbed: how long does it take, and what does it make?"""
        begin = time.monotonic()
        self.put("uploads", "measured.mp4", self.film).ended()
        job = self.server.wait_job("measured.mp4")
        assert job["Status"] == "COMPLETE", job
        self.seconds = time.monotonic() - begin
        for key in self.outputs()[job["Id"]]:
            self.renditions[key.rpartition("_")[2]] = self.sum_of("renditions", key)
        self.note("uploads", "measured.mp4", self.film, True)

    def round(self, number: int) -> None:
        """Begins something, kills at a random moment, and starts the server again."""
        kind = KINDS[number % len(KINDS)]
        getattr(self, f"_{kind}")(number)
        self.done[kind] += 1

    def kill(self, longest_s: float, least_s: float = 0.0) -> None:
        """Kills the server at a random moment."""
        # This waits for no event: the random moment of the kill is the point of the test.
        time.sleep(self.chance.uniform(least_s, longest_s))
        self.server.kill()

    def start(self) -> None:
        """Starts the server once nothing of the killed one is left."""
        eventually(lambda: not self.server.leftovers(), 10, "no ffmpeg outlives its server")
        self.server.start()

    def put(self, bucket: str, key: str, body: bytes) -> Request:
        s3 = self.server.client("s3", config=ONE_TRY)
        return Request(lambda: s3.put_object(Bucket=bucket, Key=key, Body=body))

    def note(self, bucket: str, key: str, body: bytes, is_acknowledged: bool) -> None:
        """Notes an upload whose answer is known. Acknowledged, it must be there at once."""
        self.objects[bucket, key] = body if is_acknowledged else None
        if is_acknowledged:
            assert self.sum_of(bucket, key) == hashlib.sha256(body).hexdigest(), f"{bucket}/{key} was acknowledged"

    def sum_of(self, bucket: str, key: str) -> str:
        return hashlib.sha256(self.server.s3.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()

    def _upload(self, number: int) -> None:
        film, big = self.put("uploads", f"{number} ü.mp4", self.film), self.chance.randbytes(PART + 1)
        s3 = self.server.client("s3", config=ONE_TRY)
        parts = Request(lambda: upload_in_parts(s3, f"parts/{number}", big))
        gone = ("masters", f"parts/{number - len(KINDS)}")
        removed = Request(lambda: s3.delete_object(Bucket=gone[0], Key=gone[1])) if self.objects.get(gone) else None
        self.kill(0.4)
        answers = film.ended(), parts.ended(), removed.ended() if removed else False
        self.start()
        self.note("uploads", f"{number} ü.mp4", self.film, answers[0])
        self.note("masters", f"parts/{number}", big, answers[1])
        if removed:
            self.objects[gone] = None
        if answers[2]:
            self.deleted.add(gone)

    def _encode(self, number: int) -> None:
        self._film(number, self.seconds, 0.0)

    def _publish(self, number: int) -> None:
        # A job ends at about the measured time: the last part of it is the publication.
        self._film(number, 1.15 * self.seconds, 0.7 * self.seconds)

    def _film(self, number: int, longest_s: float, least_s: float) -> None:
        film = self.put("uploads", f"{number}.mp4", self.film)
        is_acknowledged = film.ended()
        self.kill(longest_s, least_s)
        self.start()
        self.note("uploads", f"{number}.mp4", self.film, is_acknowledged)

    def _cancel(self, number: int) -> None:
        job = self.create_job(number)
        time.sleep(self.chance.uniform(0, 1.1 * self.seconds))
        jobs = self.server.client("mediaconvert", config=ONE_TRY)
        cancel = Request(lambda: jobs.cancel_job(Id=job))
        self.kill(0.05)
        if cancel.ended():
            self.cancelled.add(job)
        self.start()

    def create_job(self, number: int) -> str:
        """Creates a job whose destination no other job has."""
        made = self.server.wait_job("measured.mp4")["Settings"]
        output = made["OutputGroups"][0]["Outputs"]
        job = settings(made["Inputs"], output, f"s3://renditions/created/{number}/")
        return self.server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]["Id"]

    def _backup(self, number: int) -> None:
        known = dict(self.objects)
        place = self.folder / f"backup-{number}"
        command = start("backup", "--data", self.server.data, "--to", place)
        film = self.put("uploads", f"{number}.mp4", self.film)
        kills_server = self.chance.random() < 0.5
        if kills_server:
            self.kill(0.5)
        else:
            time.sleep(self.chance.uniform(0, 0.5))
            command.kill()
        is_acknowledged, (_, told) = film.ended(), command.communicate(timeout=120)
        if kills_server:
            self.start()
        self.note("uploads", f"{number}.mp4", self.film, is_acknowledged)
        if command.returncode == 0:
            if self.backup:
                shutil.rmtree(self.backup[0])
            self.backup = place, known
        else:
            assert kills_server is False, f"a backup of a killed server must go on: {told}"
            refused = start("restore", "--from", place, "--data", self.folder / "none")
            assert refused.wait(timeout=120) == 2 and not (self.folder / "none").exists(), "half a backup is no backup"
            refused.communicate()
            shutil.rmtree(place, ignore_errors=True)

    def _restore(self, number: int) -> None:
        if self.backup is None:
            place = self.folder / f"backup-{number}"
            known = dict(self.objects)
            assert start("backup", "--data", self.server.data, "--to", place).wait(timeout=120) == 0
            self.backup = place, known
        place, known = self.backup
        target = Server(self.folder / f"restored-{number}", config=self.server.config, environment=self.server.environment)
        target.folder.mkdir()
        command = start("restore", "--from", place, "--data", target.data)
        time.sleep(self.chance.uniform(0, 0.3))
        command.kill()
        command.communicate(timeout=60)
        whole = start("restore", "--from", place, "--data", target.data, "--replace")
        assert (whole.communicate(timeout=120), whole.returncode)[1] == 0, "a restore after a killed one"
        check = start("s3", "fsck", "--data", target.data, "--verify")
        assert (told := check.communicate(timeout=120), check.returncode)[1] == 0, told
        halves = [path.name for path in target.folder.iterdir() if ".restoring-" in path.name]
        assert halves == [], "nothing of the killed restore is left"
        try:
            target.start()
            check_objects(target, known, self.deleted)
            self.server.kill()
        finally:
            target.end()
        shutil.rmtree(target.folder)
        self.start()

    def check_all(self) -> None:
        """Waits until all jobs have ended, and compares everything with what was acknowledged."""
        server = self.server
        uploads = [key for (bucket, key), body in self.objects.items() if bucket == "uploads" and body is not None]

        def are_at_their_end() -> bool:
            jobs = all_jobs(server.mediaconvert)
            films = {job["UserMetadata"].get("abanico.key") for job in jobs if "UserMetadata" in job}
            return films >= set(uploads) and all(job["Status"] in FINAL for job in jobs)

        eventually(are_at_their_end, DRAIN_SECONDS, "every acknowledged upload has its job, and all jobs have ended")
        check_objects(server, self.objects, self.deleted)
        jobs = all_jobs(server.mediaconvert)
        per_upload = Counter(job["UserMetadata"]["abanico.key"] for job in jobs if job.get("UserMetadata", {}).get("abanico.key"))
        assert set(uploads) <= set(per_upload) and set(per_upload.values()) <= {1}, "each upload has exactly one job"
        for job in jobs:
            wanted = {"COMPLETE", "CANCELED"} if is_created(job) else {"COMPLETE"}
            assert job["Status"] in wanted, job
            assert job["Id"] not in self.cancelled or job["Status"] == "CANCELED", f"a cancellation was forgotten: {job}"
        self.check_ends(jobs)
        made = {key for keys in self.outputs().values() for key in keys}
        there = set(server.keys("renditions"))
        assert made == there, f"missing: {sorted(made - there)}, strange: {sorted(there - made)}"
        for key in sorted(made):
            # Every film is the same, and so is each of its renditions.
            kind = key.rpartition("_")[2]
            found = self.sum_of("renditions", key)
            assert self.renditions.setdefault(kind, found) == found, f"{key} is not what the others are"
        sent = {key for bucket, key in self.objects if bucket == "uploads"}
        assert set(server.keys("uploads")) <= sent and not list((server.data / "engine" / "work").iterdir())

    def check_ends(self, jobs: list[dict]) -> None:
        """Compares the stored events: each job ends once."""
        ends = Counter(detail["jobId"] for detail in self.events() if detail["status"] in FINAL)
        assert ends == Counter(job["Id"] for job in jobs), "each job ends once"

    def events(self) -> list[dict]:
        """What the server has stored about its jobs' changes."""
        with closing(sqlite3.connect(self.server.data / "engine" / "jobs.sqlite")) as database:
            return [json.loads(body)["detail"] for (body,) in database.execute("SELECT body FROM events")]

    def outputs(self) -> dict[str, list[str]]:
        """The keys of the outputs of each complete job: GetJob does not say them, events do."""
        found = {}
        for detail in self.events():
            if detail["status"] == "COMPLETE":
                details = [one for group in detail["outputGroupDetails"] for one in group["outputDetails"]]
                paths = [path for one in details for path in one["outputFilePaths"]]
                found[detail["jobId"]] = [path.removeprefix("s3://renditions/") for path in paths]
        return found


def is_created(job: dict) -> bool:
    """Whether a test has created the job, and so may have cancelled it."""
    return "abanico.key" not in job.get("UserMetadata", {})


def start(*arguments: object) -> subprocess.Popen:
    """Starts a command of the program."""
    words = [str(binary()), *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def upload_in_parts(s3: object, key: str, body: bytes) -> None:
    """Uploads an object in two parts."""
    place = {"Bucket": "masters", "Key": key}
    place |= {"UploadId": s3.create_multipart_upload(**place)["UploadId"]}
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**place, PartNumber=number, Body=piece)["ETag"]}
        for number, piece in ((1, body[:PART]), (2, body[PART:]))
    ]
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})


def check_objects(server: Server, objects: dict[tuple[str, str], bytes | None], deleted: set[tuple[str, str]]) -> None:
    """Compares the bytes of everything that was acknowledged."""
    for (bucket, key), body in objects.items():
        if body is not None and (bucket, key) not in deleted:
            found = server.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            assert found == body, f"{bucket}/{key} was acknowledged"
    there = {("masters", key) for key in server.keys("masters")}
    # A backup may be older than a removal.
    assert not there & deleted or server.folder.name.startswith("restored"), "what was removed stays removed"


def test_nothing_acknowledged_is_lost(fresh_server: Server, clips: Clips, tmp_path: Path) -> None:
    print(f"ABANICO_SEED={SEED} ABANICO_KILLS={KILLS}")
    fresh_server.config, fresh_server.environment = CONFIG, {"RUST_LOG": "abanico=info,warn"}
    fresh_server.start()
    fresh_server.s3.create_bucket(Bucket="masters")
    attack = Attack(fresh_server, clips.file(FILM).read_bytes(), tmp_path)
    attack.measure()
    begin = time.monotonic()
    for number in range(KILLS):
        try:
            attack.round(number)
            if number % ROUNDS == ROUNDS - 1:
                attack.check_all()
        except AssertionError as error:
            raise AssertionError(f"round {number} ({KINDS[number % len(KINDS)]}), ABANICO_SEED={SEED}: {error}") from error
    attack.check_all()
    print(f"{KILLS} kills in {time.monotonic() - begin:.0f} s: {dict(attack.done)}, {len(attack.objects)} objects")
    assert fresh_server.stop() == 0 and fresh_server.leftovers() == []
