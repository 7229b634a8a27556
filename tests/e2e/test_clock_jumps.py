"""Do films play on where their clock jumps, with sound and picture together, as if the parts were one film?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import Server, binary
from outputs import AAC, h264, output, run, settings, upload
from told_time import RATE, check_frames, check_sound, heard, make, remake
from transcoding import Outcome, transcode

PIECE = 3
AAC_SOUND = ("-c:a", "aac", "-b:a", "128k")
JUMPS = "jumps {}, as if recordings were joined"


def joined(file: Path, parts: list[Path], header_bytes: int = 0) -> Path:
    """Joins files byte by byte, the later ones without their headers."""
    first, *later = (part.read_bytes() for part in parts)
    file.write_bytes(first + b"".join(part[header_bytes:] for part in later))
    return file


def pieces(folder: Path, ending: str, *options: str, count: int = 2, size: str = "160x90") -> list[Path]:
    """Makes pieces of one film, each with a clock of its own, and sound that tells the film's time."""
    return [make(folder / f"piece-{n}.{ending}", PIECE, *options, start=n * PIECE, size=size) for n in range(count)]


def check(outcome: Outcome, seconds: int, jumps: str, off_by: int = 0) -> None:
    """Fails unless the film has every frame in order, and sound that tells the time of the frames around it."""
    assert outcome.status == 0, outcome.stderr
    assert any(JUMPS.format(jumps) in message for message in outcome.done["messages"]), outcome.done
    (file,) = outcome.outputs
    check_frames(file, list(range(seconds * RATE)), off_by)
    # Away from the joints: the sound of a piece starts and ends a few milliseconds before or after its frames, which is made
    # up for by a slightly different pitch.
    check_sound(file, seconds, [piece * PIECE + after for piece in range(seconds // PIECE) for after in (1.6, 2.7)])


@pytest.mark.parametrize(
    ("ending", "options", "header_bytes"),
    [
        ("ts", AAC_SOUND, 0),
        ("ts", ("-bf", "2", "-g", "50", "-preset", "veryfast", "-c:a", "mp2"), 0),
        ("vob", ("-c:v", "mpeg2video", "-q:v", "2", "-c:a", "ac3"), 0),
        ("mkv", AAC_SOUND, 0),
        ("flv", AAC_SOUND, 13),
    ],
    ids=["ts", "ts-b-frames", "vob", "mkv", "flv"],
)
def test_joined_films_play_on(ending: str, options: tuple[str, ...], header_bytes: int, tmp_path: Path) -> None:
    parts = pieces(tmp_path, ending, *options)
    film = joined(tmp_path / f"joined.{ending}", parts, header_bytes)
    # ffmpeg's writer of VOB files loses the time of some frames.
    check(transcode(film, tmp_path / "out"), 2 * PIECE, "once", off_by=int(ending == "vob"))


def test_clock_that_leaps_ahead_plays_on(tmp_path: Path) -> None:
    first, second, third = pieces(tmp_path, "ts", *AAC_SOUND, count=3)
    late = remake(second, tmp_path / "late.ts", "-c", "copy", before=("-itsoffset", "5000"))
    film = joined(tmp_path / "leaps.ts", [first, late, third])
    check(transcode(film, tmp_path / "out"), 3 * PIECE, "2 times")


def test_pause_stays_a_pause(tmp_path: Path) -> None:
    first, second = pieces(tmp_path, "ts", *AAC_SOUND)
    late = remake(second, tmp_path / "late.ts", "-c", "copy", before=("-itsoffset", "7"))
    outcome = transcode(joined(tmp_path / "pause.ts", [first, late]), tmp_path / "out")
    assert outcome.status == 0 and not any("jumps" in message for message in outcome.done["messages"]), outcome
    still = [PIECE * RATE - 1] * 4 * RATE
    check_frames(outcome.outputs[0], [*range(PIECE * RATE), *still, *range(PIECE * RATE, 2 * PIECE * RATE)])
    assert abs(heard(outcome.outputs[0]).told(9) - 5) < 0.03


def test_part_without_sound_keeps_the_others_together(tmp_path: Path) -> None:
    first, second, third = pieces(tmp_path, "ts", *AAC_SOUND, count=3)
    silent = remake(second, tmp_path / "silent.ts", "-c", "copy", "-an")
    outcome = transcode(joined(tmp_path / "film.ts", [first, silent, third]), tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    (file,) = outcome.outputs
    check_frames(file, list(range(3 * PIECE * RATE)))
    off = [round(heard(file).told(place) - place, 4) for place in (0.5, 2.5, 7.8, 8.5)]
    assert all(abs(by) < 0.03 for by in off), off


def test_joined_film_in_chunks(tmp_path: Path) -> None:
    parts = [make(tmp_path / f"{n}.mkv", 11, *AAC_SOUND, start=n * 11, size="160x90") for n in range(2)]
    outcome = transcode(joined(tmp_path / "long.mkv", parts), tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    (file,) = outcome.outputs
    check_frames(file, list(range(22 * RATE)))
    check_sound(file, 22, [0.5, 10.5, 13, 21.5])


def test_clip_across_a_jump(server: Server, tmp_path: Path) -> None:
    if "masters" not in [bucket["Name"] for bucket in server.s3.list_buckets()["Buckets"]]:
        server.s3.create_bucket(Bucket="masters")
    film = joined(tmp_path / "joined.ts", pieces(tmp_path, "ts", *AAC_SOUND, size="320x180"))
    url = upload(server, film, "joined.ts")
    clipping = {"StartTimecode": "00:00:02:00", "EndTimecode": "00:00:03:24"}
    inputs = [{"FileInput": url, "TimecodeSource": "ZEROBASED", "InputClippings": [clipping]}]
    done = run(server, settings(inputs, [output("MP4", h264(QvbrSettings={"QvbrQualityLevel": 10}), [AAC])], "s3://renditions/jump/out"))
    assert any("jumps once" in line for line in done["Messages"]["Warning"]), done["Messages"]
    file = server.download("jump/out.mp4", tmp_path / "out.mp4")
    check_frames(file, list(range(50, 100)))
    off = [round(heard(file).told(place) - place - 2, 4) for place in (0.3, 0.8, 1.9)]
    assert all(abs(by) < 0.06 for by in off), off


def test_user_keeps_the_original(tmp_path: Path) -> None:
    film = joined(tmp_path / "joined.ts", pieces(tmp_path, "ts", *AAC_SOUND))
    before = film.read_bytes()
    assert transcode(film, tmp_path / "out").status == 0
    assert film.read_bytes() == before
    probed = subprocess.run([str(binary()), "probe", str(film)], capture_output=True, text=True, check=True, timeout=60)
    assert f'"frames":{2 * PIECE * RATE}' in probed.stdout.replace(" ", ""), probed.stdout
