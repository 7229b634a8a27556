"""Is sound that cannot be decoded passed over for sound that can, or named, with what to do?"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Server
from outputs import AAC, ROLE, h264, output, settings, upload
from told_time import heard
from transcoding import transcode

FIRST_HZ, SECOND_HZ = 300, 1200
REMEDY = "upload the film with its sound as AAC, or select another track"


def film(file: Path, *options: str, tracks: int = 1) -> Path:
    """Makes a film with one or two audio tracks: a low tone, then a high one."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2"]
    for pitch in (FIRST_HZ, SECOND_HZ)[:tracks]:
        command += ["-f", "lavfi", "-i", f"sine={pitch}:r=48000:d=2"]
    maps = [word for number in range(tracks + 1) for word in ("-map", str(number))]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, *maps, *video, *options, str(file)], check=True, timeout=60)
    return file


def patched(file: Path, *changes: tuple[bytes, bytes]) -> Path:
    """Replaces the first occurrence of each of these bytes, which makes the first audio track another one."""
    content = file.read_bytes()
    for old, new in changes:
        assert old in content and len(old) == len(new)
        content = content.replace(old, new, 1)
    file.write_bytes(content)
    return file


def boxes(name: str, entry: bytes) -> Callable[[Path, int], Path]:
    """Returns a maker of a film whose first sound has this sample entry, and no description that ffmpeg knows."""

    def make(folder: Path, tracks: int) -> Path:
        return patched(film(folder / name, "-c:a", "aac", tracks=tracks), (b"mp4a", entry), (b"esds", b"free"))

    return make


def matroska(folder: Path, tracks: int) -> Path:
    """Makes a Matroska file whose first sound has a codec that nobody knows."""
    return patched(film(folder / "a.mkv", "-c:a", "aac", tracks=tracks), (b"A_AAC", b"A_NEW"))


def avi(folder: Path, tracks: int) -> Path:
    """Makes an AVI file whose first sound has a format number that nobody knows."""
    file = film(folder / "a.avi", "-c:a", "mp2", tracks=tracks)
    content = file.read_bytes()
    format_at = content.index(b"strf", content.index(b"auds")) + 8
    file.write_bytes(content[:format_at] + b"\xfe\x7a" + content[format_at + 2 :])
    return file


def scrambled(folder: Path, tracks: int, whole_packets: bool = False) -> Path:
    """Makes a transport stream whose first sound is scrambled, with or without the times of its packets."""
    content = bytearray(film(folder / "a.ts", "-c:a", "ac3", tracks=tracks).read_bytes())
    for at in range(0, len(content), 188):
        identifier = (content[at + 1] & 0x1F) << 8 | content[at + 2]
        if identifier != 0x101:
            continue
        body = at + 4 + (1 + content[at + 4] if content[at + 3] & 0x20 else 0)
        # The first packet of a unit starts with its header of 14 bytes.
        body += 0 if whole_packets or not content[at + 1] & 0x40 else 14
        if whole_packets:
            content[at + 3] |= 0x80
        content[body : at + 188] = bytes(byte ^ 0x5A for byte in content[body : at + 188])
    (folder / "a.ts").write_bytes(content)
    return folder / "a.ts"


KINDS = {
    "unknown in MP4": (boxes("a.mp4", b"zzzz"), r"audio track 1 \(of an unknown codec\)"),
    "unknown in MOV, as phones write it": (boxes("a.mov", b"apac"), r"audio track 1 \(of an unknown codec\)"),
    "known, but without a decoder": (boxes("a.mp4", b"mhm1"), r"audio track 1 \(`mpegh_3d_audio`\)"),
    "unknown in Matroska": (matroska, r"audio track 1 \(of an unknown codec\)"),
    "unknown in AVI": (avi, r"audio track 1 \(of an unknown codec\)"),
    "encrypted in a transport stream": (scrambled, r"audio track 1 \(`ac3`\)"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_sound_is_named_with_what_to_do(kind: str, tmp_path: Path) -> None:
    make, named = KINDS[kind]
    outcome = transcode(make(tmp_path, 1), tmp_path / "out")
    assert outcome.failure and outcome.failure["code"] == 1030, outcome
    message = outcome.failure["message"]
    assert re.match(named, message) and "cannot be decoded" in message and REMEDY in message, message
    assert not outcome.outputs


@pytest.mark.parametrize("kind", KINDS)
def test_other_sound_is_taken_and_told(kind: str, tmp_path: Path) -> None:
    make, named = KINDS[kind]
    outcome = transcode(make(tmp_path, 2), tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert abs(heard(outcome.outputs[0]).pitch_hz(1)[0] - SECOND_HZ) < 5
    told = [message for message in outcome.done["messages"] if re.match(named, message)]
    assert len(told) == 1 and "so audio track 2 (" in told[0], outcome.done["messages"]


def test_scrambled_packets_are_refused_as_such(tmp_path: Path) -> None:
    outcome = transcode(scrambled(tmp_path, 1, whole_packets=True), tmp_path / "out")
    assert outcome.failure and outcome.failure["code"] == 1030, outcome
    assert "is scrambled; upload it without encryption" in outcome.failure["message"]


def test_sound_that_ffmpeg_does_not_open_is_refused_with_what_to_do(tmp_path: Path) -> None:
    content = film(tmp_path / "a.mp4", "-c:a", "aac").read_bytes()
    # The description of the decoder: its object type becomes 42, xHE-AAC, with the numbers of 48 kHz and one channel.
    at = content.index(b"\x05\x80\x80\x80", content.index(b"esds")) + 4
    changed = int("11111" + f"{42 - 32:06b}" + "0011" + "0001" + "0" * 20, 2).to_bytes(5, "big")
    assert content[at] == len(changed)
    (tmp_path / "a.mp4").write_bytes(content[: at + 1] + changed + content[at + 1 + len(changed) :])
    outcome = transcode(tmp_path / "a.mp4", tmp_path / "out")
    assert outcome.failure and outcome.failure["code"] == 1030, outcome
    assert "no decoder for one of its tracks" in outcome.failure["message"] and "convert that track first" in outcome.failure["message"]


def test_job_that_names_the_track_gets_no_other(server: Server, tmp_path: Path) -> None:
    if "masters" not in [bucket["Name"] for bucket in server.s3.list_buckets()["Buckets"]]:
        server.s3.create_bucket(Bucket="masters")
    url = upload(server, matroska(tmp_path, 2), "undecodable.mkv")
    inputs = [{"FileInput": url, "AudioSelectors": {"Audio Selector 1": {"SelectorType": "TRACK", "Tracks": [1]}}}]
    asked = settings(inputs, [output("MP4", h264(QvbrSettings={"QvbrQualityLevel": 6}), [AAC])], "s3://renditions/undecodable/out")
    job = server.wait_status(server.mediaconvert.create_job(Role=ROLE, Settings=asked)["Job"]["Id"])
    assert (job["Status"], job["ErrorCode"]) == ("ERROR", 1030), job
    assert job["ErrorMessage"].startswith("audio track 1 (of an unknown codec) of `s3://"), job["ErrorMessage"]


def test_sound_that_begins_long_after_the_pictures_is_found(tmp_path: Path) -> None:
    """ffprobe looks for a stream's description in the first five seconds and megabytes only."""
    noise = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=12,noise=alls=60:allf=t"]
    late = ["-itsoffset", "10", "-f", "lavfi", "-i", f"sine={SECOND_HZ}:r=44100:d=2"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "8M", "-c:a", "aac", "-ac", "2"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *noise, *late, *coding, str(tmp_path / "late.ts")], check=True, timeout=60)
    outcome = transcode(tmp_path / "late.ts", tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    sound = heard(outcome.outputs[0])
    assert abs(sound.pitch_hz(11)[0] - SECOND_HZ) < 5 and max(map(abs, sound.samples[: 9 * 48_000])) < 100
