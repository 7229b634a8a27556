"""Does a program that uses AWS's SDK for Rust run unchanged? 
It uploads, creates, lists, searches, cancels, tags and reads errors.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import ACCESS_KEY_ID, SECRET_ACCESS_KEY, WORKSPACE, Server
from media_facts import Facts, decode_complaints, facts

FOLDER = Path(__file__).with_name("rust_client")
FILM = Clip(width=320, height=180, frames=50)
# A clean build compiles about 150 crates: one minute on two idle cores.
BUILD_SECONDS = 900
WALK_SECONDS = 300
# The object that the program uploads in parts: 32-bit words that count up from 0.
LARGE = b"".join(word.to_bytes(4, "little") for word in range(3 * 1024 * 1024))
PART_BYTES = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def program() -> Path:
    """Builds the program with its lock file, in a subfolder of abanico's build folder. Skips the tests if cargo is missing."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is missing: install Rust 1.95 or newer from https://rustup.rs to build the client")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or WORKSPACE / "target").absolute() / "rust-client"
    done = subprocess.run(
        ["cargo", "build", "--locked", "--quiet"], cwd=FOLDER, env={**os.environ, "CARGO_TARGET_DIR": str(target)},
        capture_output=True, text=True, timeout=BUILD_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target / "debug" / "abanico-rust-client"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to which the program downloads its job's outputs."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def seen(program: Path, server: Server, clips: Clips, outputs: Path) -> dict:
    """Everything that the program saw in one run, on a server of its own."""
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    # One attempt only, so that retries do not hide a fault of the server.
    where = {"AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        [str(program), str(clips.file(FILM)), str(outputs)], env={**os.environ, **keys, **where},
        capture_output=True, text=True, timeout=WALK_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_s3_keeps_what_was_put(seen: dict, clips: Clips) -> None:
    film, objects = clips.file(FILM).read_bytes(), seen["objects"]
    assert (objects["bytes"], objects["contentType"], objects["metadata"]) == (len(film), "video/mp4", "rust")
    assert (objects["isTheSame"], objects["sameTag"], objects["sameChecksum"]) == (True, True, True)
    with urllib.request.urlopen(objects["presigned"], timeout=30) as answer:
        assert answer.read() == film
    keys = [f"small/{number} & more+" for number in range(5)]
    assert objects["pages"] == {"keys": keys, "lengths": [2, 2, 1]}


@pytest.mark.parametrize("how", ["byParts", "byWhole"])
def test_s3_joins_multipart_uploads(seen: dict, how: str) -> None:
    large, parts = seen["objects"][how], [LARGE[at : at + PART_BYTES] for at in range(0, len(LARGE), PART_BYTES)]
    assert (large["parts"], large["isTheSame"]) == ([len(part) for part in parts], True)
    assert bytes(large["acrossParts"]) == LARGE[5242876:5242884]
    tags = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts))
    assert large["tag"] == f'"{tags.hexdigest()}-{len(parts)}"'
    if how == "byParts":
        sums = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
        assert large["checksum"] == f"{base64.b64encode(sums).decode()}-{len(parts)}"
    else:
        assert large["checksum"] is not None and large["checksum"] == large["checksumInOnePiece"]


def test_queues_presets_and_templates_are_listed(seen: dict, server: Server) -> None:
    resources = seen["resources"]
    assert resources["endpoints"] == [server.endpoint]
    arn = "arn:aws:mediaconvert:us-east-1:000000000000:queues/rust"
    assert resources["queue"] == {"arn": arn, "status": "PAUSED", "type": "CUSTOM", "isDated": True}
    assert resources["preset"] == {"description": "changed", "type": "CUSTOM", "isTheSame": True}
    assert resources["priority"] == -7
    presets = ["from-rust", "rust-2", "rust-3"]
    assert (resources["lists"]["presets"], resources["lists"]["presetPages"]) == (presets, [2, 1])
    assert sorted(resources["lists"]["queues"]) == ["Default", "rust"]
    assert resources["lists"]["templates"] == ["rust-template"]
    assert resources["tags"] == {"arn": arn, "tags": {"b": "2", "ciudad": "Málaga"}}
    assert seen["gone"] == {"queue": True, "preset": True, "template": True}


def test_job_runs_to_its_end(seen: dict, outputs: Path) -> None:
    job = seen["jobs"]["made"]
    assert (job["first"], job["status"], job["percent"]) == ("SUBMITTED", "COMPLETE", 100)
    assert (job["sameByToken"], job["isDated"], job["isInOrder"]) == (True, True, True)
    assert (job["labels"], job["tag"]) == ("rust", "films")
    sizes = [(320, 180), (160, 90), (160, 90)]
    assert job["outputs"] == [{"ms": 2000, "width": width, "height": height} for width, height in sizes]
    images = [f"rust/día 1_image.000000{number}.jpg" for number in range(2)]
    assert job["keys"] == [*images, "rust/día 1_preset.mp4", "rust/día 1_small.mp4"]
    for name, size in (("preset", (320, 180)), ("small", (160, 90))):
        film = outputs / f"día 1_{name}.mp4"
        found: Facts = facts(film)
        assert (found.codec, found.size, found.rate, found.frames) == ("h264", size, 25, 50)
        assert found.sound is not None and (found.sound.codec, found.sound.channels) == ("aac", 2)
        assert decode_complaints(film) == ""
    assert all((outputs / Path(image).name).read_bytes()[:2] == b"\xff\xd8" for image in images)
    assert seen["jobs"]["probe"] == {"format": "mp4", "seconds": 2.0, "codecs": ["AVC", "AAC"]}


def test_waiting_jobs_are_listed_found_and_canceled(seen: dict) -> None:
    waiting = seen["jobs"]["waiting"]
    assert (waiting["isListed"], waiting["lengths"], waiting["found"]) == (True, [2, 2, 1], True)
    assert (waiting["counted"], waiting["queueIsKept"], waiting["canceled"]) == (5, True, "CANCELED")
    assert (waiting["priority"], waiting["template"]) == (-7, "rust-template")


def test_other_operations_answer(seen: dict) -> None:
    rest = seen["rest"]
    assert (rest["priority"], rest["queue"], rest["versions"]) == (9, "ACTIVE", 1)
    assert (rest["share"], rest["certificateIsGone"]) == ("INITIATED", True)
    assert rest["policy"] == {"put": ["DISALLOWED", "ALLOWED"], "gone": ["ALLOWED", "ALLOWED"]}
    assert rest["query"] == {"status": "COMPLETE", "isFound": True}


@pytest.mark.parametrize(
    ("which", "code", "status", "words"),
    [
        ("nothing", "BadRequestException", 400, "/outputGroups: Should have at least 1 items"),
        ("tooWide", "BadRequestException", 400, "/outputGroups/0/outputs/0/videoDescription/width: "),
        ("system", "ForbiddenException", 403, "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps"),
        ("unknown", "NotFoundException", 404, "1234567890123-nobody"),
        ("twice", "ConflictException", 409, "from-rust"),
        ("noFilm", "UnprocessableEntityException", 422, "s3://from-rust/words.mp4"),
    ],
)
def test_each_error_is_read_as_its_type(seen: dict, which: str, code: str, status: int, words: str) -> None:
    refusal = seen["refusals"][which]
    assert (refusal["isTyped"], refusal["code"], refusal["status"]) == (True, code, status)
    assert words in refusal["message"] and refusal["hasId"]


def test_wrong_keys_and_missing_objects_give_typed_errors(seen: dict) -> None:
    stranger = seen["refusals"]["stranger"]
    assert (stranger["code"], stranger["status"]) == ("InvalidSignatureException", 403)
    names = ("noSuchKey", "notFound", "noSuchBucket", "noSuchUpload", "badDigest")
    assert seen["refusals"]["s3"] == dict.fromkeys(names, True)
