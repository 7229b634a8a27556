"""Does the sound stay whole and in its place where a source lost some of it? And is a job refused whose sound is not whole?"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Server
from outputs import h264, output
from test_chunks import job_file
from told_time import LOW_HZ, RISE_HZ, check_sound, heard, make, remake
from transcoding import transcode

SECONDS = 8
PLACES = [0.5, 2.2, 3.6, 5.5, 7.5]
LOST = "noise=drop=eq(n\\,60)+between(n\\,190\\,201)"
"""One packet of sound, and a quarter of a second of it."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with unbroken sound."""
    return make(tmp_path_factory.mktemp("gaps") / "film.mp4", SECONDS, "-c:a", "aac", "-b:a", "128k")


def rendition(source: Path, folder: Path, *options: str) -> Path:
    """Runs the default ladder, which must succeed, and returns its only rendition."""
    outcome = transcode(source, folder / "out", *options)
    assert outcome.status == 0, outcome.stderr
    (file,) = outcome.outputs
    return file


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "ts", "flv"])
def test_lost_sound_leaves_the_rest_in_place(film: Path, ending: str, tmp_path: Path) -> None:
    gap = remake(film, tmp_path / f"gap.{ending}", "-c", "copy", "-bsf:a", LOST)
    check_sound(rendition(gap, tmp_path), SECONDS, PLACES)


def test_lost_sound_of_other_rates_and_codecs(film: Path, tmp_path: Path) -> None:
    for name, options in {"44.mp4": ("-ar", "44100"), "ac3.ts": ("-c:a", "ac3"), "mp2.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2")}.items():
        recoded = remake(film, tmp_path / name, *options)
        gap = remake(recoded, tmp_path / f"gap-{name}", "-c", "copy", "-bsf:a", "noise=drop=eq(n\\,60)")
        check_sound(rendition(gap, tmp_path / name.split(".")[0]), SECONDS, [0.5, 4, 7.5])


def test_sound_follows_a_drifting_clock(film: Path, tmp_path: Path) -> None:
    drifting = remake(film, tmp_path / "drift.mkv", "-c", "copy", "-bsf:a", "setts=ts=TS*1.004")
    file = rendition(drifting, tmp_path)
    sound = heard(file)
    # Played more slowly, the sound is lower as well.
    pitches = {place: sound.pitch_hz(place) for place in PLACES}
    off = {place: round((pitch * 1.004 - LOW_HZ) / RISE_HZ - middle / 1.004, 4) for place, (pitch, middle) in pitches.items()}
    assert all(abs(by) < 0.02 for by in off.values()), off
    check_sound(file, SECONDS * 1.004, [])


def test_undecodable_sound_leaves_the_rest_in_place(film: Path, tmp_path: Path) -> None:
    damaged = remake(film, tmp_path / "damaged.mp4", "-c", "copy", "-bsf:a", "noise=amount=if(between(n\\,180\\,186)\\,2\\,0)")
    check_sound(rendition(damaged, tmp_path), SECONDS, [0.5, 2.2, 3.6, 5.5, 7.5])


def test_sound_stays_whole_beside_chunks(tmp_path: Path) -> None:
    long = make(tmp_path / "long.mp4", 19, "-c:a", "aac", size="160x90")
    gap = remake(long, tmp_path / "gap.mp4", "-c", "copy", "-bsf:a", LOST)
    check_sound(rendition(gap, tmp_path), 19, [0.5, 6, 12, 18.5])


def test_unbroken_sound_is_not_touched(tmp_path: Path) -> None:
    source = make(tmp_path / "plain.mov", 2, "-c:a", "pcm_s16le", "-ac", "2", size="160x90")
    flac = {"Codec": "FLAC", "FlacSettings": {"BitDepth": 16, "Channels": 2, "SampleRate": 48_000}}
    job = job_file(tmp_path, [output("MP4", h264(), [flac])])
    (file,) = transcode(source, tmp_path / "out", "--job", str(job)).outputs
    assert sum_of_samples(file) == sum_of_samples(source)


def sum_of_samples(file: Path) -> tuple[int, str]:
    """Returns the number of bytes of decoded sound and their checksum."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:a", "-f", "s16le", "-"]
    samples = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return len(samples), hashlib.sha256(samples).hexdigest()


@pytest.mark.parametrize(
    ("ending", "codec", "rate", "seconds"),
    [
        ("mp4", "aac", 8000, 4),
        ("mp4", "aac", 8000, 2.36),
        ("mp4", "aac", 11_025, 3.2),
        ("mp4", "aac", 16_000, 1.04),
        ("mov", "aac", 8000, 2.92),
        ("mkv", "aac", 8000, 2.36),
        ("ts", "aac", 8000, 2.36),
        ("avi", "libmp3lame", 8000, 2.36),
        ("webm", "libopus", 48_000, 2.36),
    ],
)
def test_sound_with_long_packets_is_measured_by_samples(ending: str, codec: str, rate: int, seconds: float, tmp_path: Path) -> None:
    long = ("-frame_duration", "60") if codec == "libopus" else ()
    video = ("-c:v", "libvpx", "-deadline", "realtime") if ending == "webm" else ()
    camera = make(tmp_path / f"camera.{ending}", seconds, "-c:a", codec, *long, *video, sound_hz=rate, size="160x90")
    file = rendition(camera, tmp_path)
    sound = heard(file)
    # Without an edit list, the last packet is as long as it is: 128 ms at 8 kHz.
    slack = 0.03 if ending in ("mp4", "mov") else 0.03 + 1.5 * 1152 / rate
    assert -0.03 < sound.seconds - seconds < slack, sound.seconds
    # AVI does not say by how much an encoder delays the sound.
    assert ending == "avi" or abs(sound.told(seconds / 2) - seconds / 2) < 0.03


# ---- planted faults. A program in ffmpeg's place spoils the encoded sound; verification must see each kind.

SPOILING = """#!/bin/sh
for last; do :; done
case "$last" in
    *audio-0.partial/*) ;;
    *) exec {ffmpeg} "$@" ;;
esac
{ffmpeg} "$@" || exit 1
file=${{last#file:}}
{ffmpeg} -nostdin -v error -y -i "$file" -c copy $(cat {options}) "$file.spoilt.mp4" && mv "$file.spoilt.mp4" "$file"
"""
SPOILT = {
    "a packet is dropped": ("-bsf:a noise=drop=eq(n\\,40)", "apart instead of 0.021"),
    "packets are dropped": ("-bsf:a noise=drop=between(n\\,40\\,60)", "apart instead of 0.021"),
    "a time stamp is uneven": ("-bsf:a setts=ts=TS+eq(N\\,40)*500", "apart instead of 0.021"),
    "packets are squeezed": ("-bsf:a setts=ts=if(between(N\\,30\\,60)\\,30*1024+N\\,TS)", "apart instead of 0.021"),
    "the clock runs fast": ("-bsf:a setts=ts=TS*1.06", "apart instead of 0.021"),
    "the sound is late": ("-bsf:a setts=ts=TS+4800", "audio starts at"),
    "the tail is lost": ("-t 1.5", "audio ends at"),
}


@pytest.fixture(scope="module")
def spoiling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server whose ffmpeg spoils encoded sound with the options in a file."""
    folder = tmp_path_factory.mktemp("spoiling")
    program, options = folder / "ffmpeg", folder / "options"
    program.write_text(SPOILING.format(ffmpeg=shutil.which("ffmpeg"), options=options))
    program.chmod(0o755)
    server = Server(folder / "server", config='[engine]\nsandbox = "off"\n', environment={"ABANICO_FFMPEG": str(program)})
    try:
        yield server.start(), options
    finally:
        server.end()


def test_spoilt_sound_is_an_error(spoiling: tuple[Server, Path], tmp_path: Path) -> None:
    server, options = spoiling
    film = make(tmp_path / "film.mp4", 2, "-c:a", "aac", size="160x90")
    for number, (fault, (spoilt, why)) in enumerate([("none", ("", "")), *SPOILT.items()]):
        options.write_text(spoilt)
        server.s3.upload_file(str(film), "uploads", f"{number}.mp4")
        job = server.wait_job(f"{number}.mp4")
        told = (fault, job["Status"], job.get("ErrorMessage"))
        assert job["Status"] == ("ERROR" if why else "COMPLETE") and why in job.get("ErrorMessage", ""), told
