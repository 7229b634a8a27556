"""Does sound play on in its place where its channels or its sampling rate change within the track?"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import Server
from outputs import ROLE, h264, output, settings, upload
from test_clock_jumps import PIECE, joined
from told_time import RATE, check_frames, check_sound, make, remake
from transcoding import transcode

MPEG2 = ("-c:v", "mpeg2video", "-q:v", "2")
# Two pieces of sound each: options and sampling rate.
CASES = {
    "aac mono, stereo": ("ts", (("-c:a", "aac", "-ac", "1"), 48_000), (("-c:a", "aac", "-ac", "2"), 48_000), "mono at 48000 Hz, stereo at 48000 Hz"),
    "aac 44.1, 48 kHz": ("ts", (("-c:a", "aac"), 44_100), (("-c:a", "aac"), 48_000), "at 44100 Hz, .* at 48000 Hz"),
    "aac 48, 32 kHz": ("ts", (("-c:a", "aac"), 48_000), (("-c:a", "aac"), 32_000), "at 48000 Hz, .* at 32000 Hz"),
    "mp2 stereo, mono": ("ts", (("-c:a", "mp2", "-ac", "2"), 48_000), (("-c:a", "mp2", "-ac", "1"), 48_000), "stereo .*, mono"),
    "ac3 5.1, stereo in a recording": ("ts", (("-c:a", "ac3", "-ac", "6"), 48_000), (("-c:a", "ac3", "-ac", "2"), 48_000), r"5\.1.*, stereo"),
    "ac3 5.1, stereo in VOB": ("vob", ((*MPEG2, "-c:a", "ac3", "-ac", "6"), 48_000), ((*MPEG2, "-c:a", "ac3", "-ac", "2"), 48_000), r"5\.1.*, stereo"),
    "ac3 stereo, 5.1 in Matroska": ("mkv", (("-c:a", "ac3", "-ac", "2"), 48_000), (("-c:a", "ac3", "-ac", "6"), 48_000), r"stereo.*, 5\.1"),
    "mp3 44.1, 48 kHz in Matroska": ("mkv", (("-c:a", "libmp3lame"), 44_100), (("-c:a", "libmp3lame"), 48_000), "at 44100 Hz, .* at 48000 Hz"),
}


def pieces(folder: Path, case: str, clock: bool) -> list[Path]:
    """Makes the pieces of a film; with `clock`, their clocks run on where they are joined."""
    ending, *sounds, _ = CASES[case]
    made = []
    for number, (options, rate) in enumerate(sounds):
        piece = make(folder / f"{number}.{ending}", PIECE, *options, start=number * PIECE, sound_hz=rate, size="160x90")
        if clock and number:
            piece = remake(piece, folder / f"late.{ending}", "-c", "copy", "-output_ts_offset", str(number * PIECE))
        made.append(piece)
    return made


# Where the clock jumps too, ffmpeg spaces the copied packets of this one so unevenly that the end is some 70 ms short.
@pytest.mark.parametrize("case", [case for case in CASES if case != "aac 48, 32 kHz"])
def test_sound_of_another_form_is_in_its_place(case: str, tmp_path: Path) -> None:
    film = joined(tmp_path / f"film.{CASES[case][0]}", pieces(tmp_path, case, clock=False))
    outcome = transcode(film, tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert any(re.search(rf"changes its form \(.*{CASES[case][-1]}.*\)", message) for message in outcome.done["messages"]), outcome.done
    (file,) = outcome.outputs
    # ffmpeg's writer of VOB files loses the time of some frames.
    check_frames(file, list(range(2 * PIECE * RATE)), off_by=int(film.suffix == ".vob"))
    check_sound(file, 2 * PIECE, [0.5, 1.6, 2.7, 4.6, 5.5], within=0.04)


@pytest.mark.parametrize("case", ["aac mono, stereo", "aac 44.1, 48 kHz", "aac 48, 32 kHz"])
def test_sound_of_another_form_without_a_jump_of_the_clock(case: str, tmp_path: Path) -> None:
    film = joined(tmp_path / "film.ts", pieces(tmp_path, case, clock=True))
    outcome = transcode(film, tmp_path / "out")
    assert outcome.status == 0 and not any("jumps" in message for message in outcome.done["messages"]), outcome
    check_frames(outcome.outputs[0], list(range(2 * PIECE * RATE)))
    check_sound(outcome.outputs[0], 2 * PIECE, [0.5, 1.6, 2.7, 4.6, 5.5], within=0.04)


def test_back_and_forth(tmp_path: Path) -> None:
    """As in a recorded broadcast with two breaks."""
    wide, narrow = ("-c:a", "ac3", "-ac", "6"), ("-c:a", "ac3", "-ac", "2")
    parts = [make(tmp_path / f"{n}.ts", PIECE, *(narrow if n % 2 else wide), start=n * PIECE, size="160x90") for n in range(5)]
    outcome = transcode(joined(tmp_path / "film.ts", parts), tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    check_frames(outcome.outputs[0], list(range(5 * PIECE * RATE)))
    check_sound(outcome.outputs[0], 5 * PIECE, [part * PIECE + after for part in range(5) for after in (1.6, 2.6)], within=0.04)


def test_copied_sound_that_changes_is_refused(server: Server, tmp_path: Path) -> None:
    if "masters" not in [bucket["Name"] for bucket in server.s3.list_buckets()["Buckets"]]:
        server.s3.create_bucket(Bucket="masters")
    film = joined(tmp_path / "film.ts", pieces(tmp_path, "aac mono, stereo", clock=True))
    url = upload(server, film, "forms.ts")
    inputs = [{"FileInput": url, "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}}]
    copied = {"AudioSourceName": "Audio Selector 1", "CodecSettings": {"Codec": "PASSTHROUGH"}}
    asked = settings(inputs, [output("MP4", h264(QvbrSettings={"QvbrQualityLevel": 6}), [copied])], "s3://renditions/forms/out")
    job = server.wait_status(server.mediaconvert.create_job(Role=ROLE, Settings=asked)["Job"]["Id"])
    assert job["Status"] == "ERROR" and "encode it" in job["ErrorMessage"], job
