"""Damages data folders, one file at a time, and tells what a server then shows and says.

A `Folder` is a server that keeps its own key pair in its data folder, as it does when nobody gives it one. What its clients
see is a `view`: a name for each object, part, bucket, job and preset, with its value.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from harness import CLIENT, Server, binary

#: A line of the log that warns, without its time.
WARNS = re.compile(r"\b(?:WARN|ERROR)\b.*")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NUMBERS = re.compile(r"\d+")
FLIPS = 4


@dataclass(frozen=True)
class Damage:
    """What happens to one file. `at` is the place of the flipped bit, as a share of the file."""

    kind: str
    path: str
    at: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} {self.path}" + (f" at {self.at:.4f}" if self.kind == "flipped" else "")

    def do(self, data: Path) -> None:
        """Damages the file of a data folder."""
        file = data / self.path
        if self.kind == "removed":
            file.unlink()
            return
        # Blobs are read-only: whoever damages them is not stopped by that.
        file.chmod(0o600)
        with file.open("r+b") as opened:
            size = file.stat().st_size
            if self.kind == "truncated":
                opened.truncate(size // 2)
            else:
                place = min(int(self.at * size), size - 1)
                opened.seek(place)
                byte = opened.read(1)[0]
                opened.seek(place)
                opened.write(bytes([byte ^ (1 << place % 8)]))


def damages(data: Path, seed: int, flips: int = FLIPS) -> Iterator[Damage]:
    """Every damage of every file: removed, cut to half, and with a flipped bit at several places, a page each in a database."""
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        path = str(file.relative_to(data))
        yield Damage("removed", path)
        size = file.stat().st_size
        if size == 0:
            continue
        yield Damage("truncated", path)
        chance = random.Random(f"{seed} {kind_of(path)}")
        pages = max(size // 4096, 1) if is_database(path) else 1
        for page in range(pages):
            for number in range(flips):
                yield Damage("flipped", path, (page + (number + chance.random()) / flips) / pages)


def is_database(path: str) -> bool:
    """Whether a file is one of a database, or its log."""
    return Path(path).name.startswith(("index.db", "jobs.sqlite"))


def kind_of(path: str) -> str:
    """What a file is for: files of one kind are damaged in the same ways."""
    name = Path(path).name
    if path.startswith("s3/blobs/") and name not in ("mark", "buckets"):
        return "label" if "." in name else "blob"
    if path.startswith("engine/work/"):
        return "work/" + NUMBERS.sub("0", "/".join(Path(path).parts[3:]))
    if path.startswith("engine/results/"):
        return f"results/{name}"
    return path


class Folder(Server):
    """A server with a key pair of its own, on a copy of a data folder."""

    def copy(self, place: Path) -> Folder:
        """A stopped server on a copy of the data folder, hard links included."""
        place.mkdir(parents=True)
        subprocess.run(["cp", "-a", str(self.data), str(place / "data")], check=True)
        return Folder(place, config=self.config, environment=self.environment)

    def start(self) -> Folder:
        """Starts the server and takes over the key pair that it tells."""
        self.key_pair = ("", "")
        super().start()
        self.key_pair = (self.exports["AWS_ACCESS_KEY_ID"], self.exports["AWS_SECRET_ACCESS_KEY"])
        return self

    def starts(self) -> bool:
        """Starts the server, unless it refuses."""
        try:
            self.start()
        except AssertionError:
            assert self.process.wait(timeout=60) == 1, self.log()[-3000:]
            self.key_pair = ("-", "-")
            return False
        return True

    def end(self) -> None:
        """Ends the server and removes its folder."""
        if self.process is not None:
            super().end()
        shutil.rmtree(self.folder)

    def warnings(self) -> list[str]:
        """What the log warns of."""
        return WARNS.findall(COLOURS.sub("", self.log()))

    def told(self, path: str) -> str:
        """What the server answers to somebody on this machine."""
        with suppress(OSError), urllib.request.urlopen(self.endpoint + path, timeout=30) as answer:
            return answer.read().decode()
        return ""

    def says(self, *command: str) -> str:
        """What a command says about the data folder."""
        words = [str(binary()), *command, "--data", str(self.data)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        return done.stdout + done.stderr if done.returncode or command[0] == "records" else ""


def view(server: Server, known: dict[str, object] | None = None) -> dict[str, object]:
    """All that clients see. What was `known` is asked for even if no list has it."""
    # Left alone, the client compares checksums by itself: here, what the server sends counts.
    s3 = server.client("s3", config=Config(response_checksum_validation="when_required", **CLIENT))
    seen: dict[str, object] = {}
    names = [name.split("/", 2) for name in known or {}]
    buckets = {name[1] for name in names if name[0] == "bucket"} | {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    for bucket in sorted(buckets):
        seen[f"bucket/{bucket}"] = attempt(lambda bucket=bucket: (s3.get_bucket_notification_configuration(Bucket=bucket), rules(s3, bucket)))
        listed = attempt(lambda bucket=bucket: server.keys(bucket))
        keys = set(listed) if isinstance(listed, list) else set()
        for key in keys | {name[2] for name in names if name[0] == "object" and name[1] == bucket}:
            seen[f"object/{bucket}/{key}"] = (key in keys, attempt(lambda bucket=bucket, key=key: content(s3, bucket, key)))
        uploads = attempt(lambda bucket=bucket: s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []))
        for upload in uploads if isinstance(uploads, list) else []:
            parts = attempt(lambda upload=upload, bucket=bucket: s3.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])["Parts"])
            seen[f"upload/{upload['UploadId']}"] = parts
    jobs = server.mediaconvert
    listed = attempt(lambda: [job["Id"] for page in jobs.get_paginator("list_jobs").paginate() for job in page["Jobs"]])
    ids = set(listed) if isinstance(listed, list) else set()
    for job in ids | {name[1] for name in names if name[0] == "job"}:
        seen[f"job/{job}"] = (job in ids, attempt(lambda job=job: jobs.get_job(Id=job)["Job"]))
    presets = attempt(lambda: jobs.list_presets(Category="own")["Presets"])
    seen |= {f"preset/{preset['Name']}": preset for preset in presets if isinstance(presets, list)}
    queues = attempt(lambda: jobs.list_queues()["Queues"])
    for queue in queues if isinstance(queues, list) else []:
        seen[f"queue/{queue['Name']}"] = {name: value for name, value in queue.items() if not name.endswith("JobsCount")}
    return {name: without_metadata(value) for name, value in seen.items()}


def attempt(question: object) -> object:
    """The answer, or why there is none."""
    try:
        return question()
    except (BotoCoreError, ClientError, OSError) as error:
        return f"refused: {error}"


def rules(s3: object, bucket: str) -> object:
    """A bucket's rules for other origins, if it has any."""
    try:
        return s3.get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchCORSConfiguration":
            return None
        raise


def content(s3: object, bucket: str, key: str) -> dict[str, object]:
    """All of an object."""
    answer = s3.get_object(Bucket=bucket, Key=key)
    body = answer.pop("Body").read()
    tags = s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {**answer, "body": hashlib.sha256(body).hexdigest(), "tags": tags}


def without_metadata(value: object) -> object:
    """Without what each answer has of its own."""
    if isinstance(value, dict):
        return {name: without_metadata(member) for name, member in value.items() if name != "ResponseMetadata"}
    if isinstance(value, (list, tuple)):
        return [without_metadata(member) for member in value]
    return value


def lies(before: object, after: object) -> bool:
    """Whether the server sends other bytes than were stored, and calls them good."""
    bodies = [value[1].get("body") if isinstance(value[1], dict) else None for value in (before, after)]
    return None not in bodies and bodies[0] != bodies[1]


def owners(data: Path) -> dict[str, set[str]]:
    """The objects and parts that each file beside the blobs belongs to."""
    found: dict[str, set[str]] = {}
    for file in (data / "s3" / "blobs").glob("??/*.*"):
        what = json.loads(file.read_text().splitlines()[0])["what"]
        thing = what.get("object") or what["part"]
        name = f"object/{thing['bucket']}/{thing['key']}" if "object" in what else f"upload/{thing['upload']}"
        pieces = (thing.get("record") or thing.get("content"))["pieces"]
        for path in [file, *(file.parent.parent / piece["blob"][:2] / piece["blob"] for piece in pieces)]:
            found.setdefault(str(path.relative_to(data)), set()).add(name)
    return found


def files_that_share(data: Path) -> dict[str, set[str]]:
    """The other names of each file: a hard link is damaged with it."""
    by_node: dict[int, set[str]] = {}
    for path in data.rglob("*"):
        if path.is_file():
            by_node.setdefault(os.stat(path).st_ino, set()).add(str(path.relative_to(data)))
    return {name: names for names in by_node.values() for name in names}
