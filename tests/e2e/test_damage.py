"""Is damage of any one file of the data folder told, and is nothing else lost by it?

Each file is removed, cut to half, or gets one flipped bit; then the server starts. Either it refuses, says what to do, and has
changed nothing; or all that differs belongs to the damaged file and is told by name. ABANICO_DAMAGE=all tries everything, as
`make attack` does; otherwise one damage of each kind is tried for each kind of file.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clips import Clip, Clips
from damaged_folders import (
    NUMBERS,
    Damage,
    Folder,
    damages,
    files_that_share,
    is_database,
    kind_of,
    lies,
    owners,
    view,
)
from harness import RADIO_PRESET, eventually
from outputs import ROLE

SEED = int(os.environ.get("ABANICO_SEED", "20261130"))
TRIES_ALL = os.environ.get("ABANICO_DAMAGE") == "all"
CONFIG = "[engine]\ncores = 1\n"
QUIET = {"RUST_LOG": "abanico=info,warn"}
PART = 5 << 20
FILM = Clip(width=320, height=180, frames=25)
LONG = Clip(width=640, height=360, frames=75)
#: What a refused start tells to do, one of these.
REMEDIES = ("abanico s3 fsck", "abanico restore", ".recover", "remove it", "docs/BACKUP.md")


def fill(server: Folder, clips: Clips) -> None:
    """Makes something of everything that a data folder can have: objects, parts, buckets, presets, ended and waiting jobs."""
    s3 = server.s3
    s3.create_bucket(Bucket="masters")
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://films.example"]}
    s3.put_bucket_cors(Bucket="masters", CORSConfiguration={"CORSRules": [rule]})
    s3.put_object(Bucket="masters", Key="empty", Body=b"")
    s3.put_object(Bucket="masters", Key="plain ü", Body=b"plain" * 1000, ContentType="text/plain", Metadata={"a": "1"})
    s3.put_object(Bucket="masters", Key="tagged", Body=b"t" * 300_000, Tagging="a=1&b=2")
    s3.copy_object(Bucket="masters", Key="copy", CopySource={"Bucket": "masters", "Key": "tagged"})
    upload = s3.create_multipart_upload(Bucket="masters", Key="parts")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(Bucket="masters", Key="parts", UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"1" * PART), (2, b"2" * 1000))
    ]
    s3.complete_multipart_upload(Bucket="masters", Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    begun = s3.create_multipart_upload(Bucket="masters", Key="begun", Metadata={"b": "2"})["UploadId"]
    s3.upload_part(Bucket="masters", Key="begun", UploadId=begun, PartNumber=1, Body=b"b" * 10_000)
    server.mediaconvert.create_preset(Name="mine", Category="own", Settings=RADIO_PRESET, Description="d" * 5000)
    server.mediaconvert.create_queue(Name="later", Status="PAUSED")
    for key in ("first.mp4", "second.mp4"):
        s3.upload_file(str(clips.file(FILM)), "uploads", key)
        assert server.wait_job(key)["Status"] == "COMPLETE"
        again(server, key, f"s3://renditions/later/{key}/", Queue="later")


def again(server: Folder, key: str, destination: str, **members: object) -> str:
    """Starts the job of an upload once more, with another destination, and returns its id."""
    settings = copy.deepcopy(server.mediaconvert.get_job(Id=server.jobs_of(key)[-1]["Id"])["Job"]["Settings"])
    settings["OutputGroups"][0]["OutputGroupSettings"]["FileGroupSettings"]["Destination"] = destination
    return server.mediaconvert.create_job(Role=ROLE, Settings=settings, **members)["Job"]["Id"]


class Base:
    """A data folder to damage copies of, and what a server on a sound copy of it shows and says."""

    def __init__(self, folder: Folder, scratch: Path) -> None:
        self.folder, self._scratch = folder, scratch
        self.owners, self.shared = owners(folder.data), files_that_share(folder.data)
        self.running = [path.name for path in (folder.data / "engine" / "work").iterdir()]
        sound = folder.copy(scratch / "sound")
        assert sound.starts(), sound.log()
        self.wait(sound)
        self.expected = self.view(sound)
        self.renditions = self.encode_again(sound)
        assert sound.stop() == 0
        self.usual = {NUMBERS.sub("0", line) for line in sound.warnings()}
        self.usual |= {NUMBERS.sub("0", line) for line in folder.warnings()}
        sound.end()

    def view(self, server: Folder, known: dict[str, object] | None = None) -> dict[str, object]:
        """All that clients see, without the times of what the server does after its start."""
        seen = view(server, known)
        for name, value in seen.items():
            if not name.startswith(("object/", "job/")) or not isinstance(value[1], dict):
                continue
            if name.startswith("object/renditions/running"):
                seen[name] = [value[0], {"body": value[1]["body"], "ETag": value[1]["ETag"]}]
            elif name.removeprefix("job/") in self.running:
                seen[name] = [value[0], {"Status": value[1]["Status"], "ErrorCode": value[1].get("ErrorCode")}]
        return seen

    def wait(self, server: Folder) -> None:
        """Waits for the end of the jobs that ran when the server was killed."""
        jobs = server.mediaconvert
        for job in self.running:
            ended = lambda job=job: jobs.get_job(Id=job)["Job"]["Status"] in ("COMPLETE", "ERROR")  # noqa: E731
            eventually(ended, 120, f"the end of job {job}")

    def encode_again(self, server: Folder) -> dict[str, object]:
        """The renditions of an upload that is encoded once more, for which kept encodes are used."""
        job = again(server, "first.mp4", "s3://renditions/again/")
        done = server.wait_status(job)
        assert done["Status"] == "COMPLETE", done
        return {name: value[1]["body"] for name, value in view(server).items() if name.startswith("object/renditions/again/")}

    def fault(self, damage: Damage) -> tuple[str, str]:
        """Tries a damage. Returns how it ended, and what was wrong with that."""
        place = self._scratch / f"{abs(hash(damage))}"
        folder = self.folder.copy(place)
        try:
            damage.do(folder.data)
            outcome, wrong = self._judged(folder, damage)
            return outcome, f"{damage}: {outcome}: {wrong}" if wrong else ""
        finally:
            folder.end()

    def _judged(self, folder: Folder, damage: Damage) -> tuple[str, str]:
        if not folder.starts():
            return "refused", self._wrong_about_refusal(folder, damage)
        try:
            self.wait(folder)
        except AssertionError as error:
            return "started", str(error)
        after = self.view(folder, self.expected)
        different = [name for name in {**self.expected, **after} if self.expected.get(name) != after.get(name)]
        lying = [name for name in different if name.startswith("object/") and name in self.expected and name in after
                 and lies(self.expected[name], after[name])]  # fmt: skip
        if lying:
            return "lied", f"other bytes than were stored are served as {lying}"
        if not different and damage.path.startswith("engine/results/") and self.encode_again(folder) != self.renditions:
            return "lied", "another rendition is made of the same upload"
        ready = folder.told("/readyz").removeprefix("ready\n")
        if folder.stop() != 0:
            return "started", "it did not stop well"
        told = "\n".join([*(line for line in folder.warnings() if NUMBERS.sub("0", line) not in self.usual), ready])
        if not different:
            return ("told" if told.strip() else "harmless"), ""
        told += folder.says("records") + folder.says("s3", "fsck", "--verify")
        return "told", self._wrong_about(different, told, damage)

    def _wrong_about_refusal(self, folder: Folder, damage: Damage) -> str:
        log = folder.log()
        if Path(damage.path).name.removesuffix("-wal") not in log or not any(remedy in log for remedy in REMEDIES):
            return f"the refusal names no file or no remedy: {log[-1500:]}"
        shutil.copy2(self.folder.data / damage.path, folder.data / damage.path)
        if not folder.starts():
            return f"the file was put back, and the start is still refused: {folder.log()[-1500:]}"
        self.wait(folder)
        after = self.view(folder, self.expected)
        different = [name for name in {**self.expected, **after} if self.expected.get(name) != after.get(name)]
        return f"the file was put back, and {different} differ" if different else ""

    def _wrong_about(self, different: list[str], told: str, damage: Damage) -> str:
        if not told.strip():
            return f"{different} differ, and nothing is told"
        # A job that is told speaks for its outputs.
        of_job = self._of_job(damage.path)
        is_told = any(_called(name) in told for name in of_job if name.startswith("job/"))
        silent = [
            name for name in different
            if _called(name) not in told and "is damaged" not in told and not (is_told and name in of_job)
        ]  # fmt: skip
        if silent:
            return f"{silent} differ, and only this is told: {told[-1500:]}"
        if is_database(damage.path) or damage.path == "s3/blobs/mark":
            return ""
        paths = self.shared.get(damage.path, {damage.path})
        mine = set().union(*(self.owners.get(path, set()) for path in paths), *(self._of_job(path) for path in paths))
        others = [name for name in different if name not in mine]
        return f"{others} are damaged, too" if others else ""

    def _of_job(self, path: str) -> set[str]:
        """What may differ if a file of a job that ran, or the upload that it reads, is damaged: the job and its outputs."""
        owned = set().union(*(self.owners.get(one, set()) for one in self.shared.get(path, {path})))
        if path.startswith("engine/work/"):
            jobs = [Path(path).parts[2]]
        else:
            jobs = self.running if "object/uploads/running.mp4" in owned else []
        outputs = [name for name in self.expected if name.startswith("object/renditions/running")]
        return {*(f"job/{job}" for job in jobs), *(outputs if jobs else [])}


def _called(name: str) -> str:
    """How messages call a thing."""
    kind, _, rest = name.partition("/")
    return rest if kind in ("object", "upload", "job") else f"{kind}s/{rest}" if kind in ("preset", "queue") else rest


def few(every: list[Damage]) -> list[Damage]:
    """One damage of each kind for each kind of file."""
    return list({(kind_of(damage.path), damage.kind): damage for damage in every}.values())


def try_all(base: Base, every: list[Damage]) -> None:
    """Tries the damages, two at a time, and fails if one of them is told too little or costs too much."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(base.fault, every))
    print(f"seed {SEED}: {len(every)} damages:", dict(Counter(outcome for outcome, _ in found)))
    wrong = [text for _, text in found if text]
    assert not wrong, f"{len(wrong)} of {len(every)} damages (ABANICO_SEED={SEED}):\n" + "\n".join(wrong)


@pytest.fixture
def begun(tmp_path: Path, clips: Clips) -> Iterator[Folder]:
    """A running server with everything in its folder."""
    folder = Folder(tmp_path / "base", config=CONFIG, environment=QUIET)
    try:
        folder.start()
        fill(folder, clips)
        yield folder
    finally:
        folder.end()


def test_damage_after_a_clean_stop(begun: Folder, tmp_path: Path) -> None:
    assert begun.stop() == 0
    every = list(damages(begun.data, SEED))
    try_all(Base(begun, tmp_path / "copies"), every if TRIES_ALL else few(every))


def test_damage_after_a_kill(begun: Folder, clips: Clips, tmp_path: Path) -> None:
    begun.s3.upload_file(str(clips.file(LONG)), "uploads", "running.mp4")

    def has_work() -> bool:
        files = [path.parent.name for path in (begun.data / "engine" / "work").glob("*/*/*")]
        # What follows a finished task has begun, so the task is known as finished.
        follows = any(name.endswith(".partial") and not name.startswith("audio") for name in files)
        return follows and any(not name.endswith(".partial") for name in files)

    eventually(has_work, 120, "the job has finished a task and begun another")
    begun.kill()
    eventually(lambda: not begun.leftovers(), 10, "no ffmpeg outlives its server")
    base = Base(begun, tmp_path / "copies")
    assert base.running, "the job did not end before the kill"
    every = list(damages(begun.data, SEED + 1))
    if not TRIES_ALL:
        # What differs from a clean stop: the databases' logs, and the files of the running job.
        every = [damage for damage in few(every) if damage.path.endswith("-wal") or damage.path.startswith("engine/work")]
    try_all(base, every)
