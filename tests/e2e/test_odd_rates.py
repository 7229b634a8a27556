"""Does a film whose frames come at uneven times keep them all, at the right standard rate?"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from media_facts import facts
from numbered import numbered_film, numbers
from transcoding import Outcome, transcode

FILM = Fraction(24000, 1001)
NTSC = Fraction(30000, 1001)
#: ffmpeg's expressions for the time of frame N in 1/90000 s, the frames, the containers, the rate, and the frames that
#: may be repeated.
CASES = {
    "jitter": ("3600*N+1600+1600*cos(N*1.7)", 120, ("mp4", "mkv", "ts"), Fraction(25), 1),
    "late_start": ("3600*N+1400*mod(N+1,2)", 90, ("mov",), Fraction(25), 1),
    "phone": ("3000*N+900*sin(N*2.3)+if(gt(N,40),6000,0)+if(gt(N,70),9000,0)", 120, ("mp4",), Fraction(30), 6),
    "telecine": ("floor(N/2)*7507.5+mod(N,2)*4504.5", 120, ("ts", "mp4"), FILM, 1),
    "other_telecine": ("floor(N/2)*7507.5+mod(N,2)*3003", 121, ("mkv",), FILM, 1),
    "two_speeds": ("if(lt(N,45),6000*N,270000+3600*(N-45))", 100, ("mp4",), Fraction(25), 31),
    "ntsc_holes": ("3003*(N+2*floor(N/30))", 100, ("ts",), NTSC, 7),
    # Grids of rates that are not customary, with holes between most frames.
    "ten": ("9000*(N+floor(N/3)+2*floor(N/7))", 90, ("mp4", "mkv"), Fraction(10), 53),
    "five": ("18000*(N+floor(N/3)+2*floor(N/7))", 60, ("mp4",), Fraction(5), 35),
    "twenty": ("4500*(N+floor(N/3)+2*floor(N/7))", 90, ("ts",), Fraction(20), 53),
    "seventh": ("6300*(N+floor(N/3)+2*floor(N/7))", 90, ("mp4", "mkv"), Fraction(100, 7), 53),
}
STANDARD = [Fraction(12), Fraction(25, 2), Fraction(15), FILM, 24, 25, NTSC, 30, 48, 50, Fraction(60000, 1001), 60]


def rung(outcome: Outcome) -> Path:
    """Returns the largest rendition."""
    assert outcome.status == 0, outcome.stderr
    return max(outcome.outputs, key=lambda file: facts(file).size)


@pytest.mark.parametrize(
    ("name", "container"), [(name, container) for name, case in CASES.items() for container in case[2]]
)
def test_every_frame_is_kept_at_the_standard_rate(tmp_path: Path, name: str, container: str) -> None:
    times, frames, _, rate, repeated = CASES[name]
    source = numbered_film(tmp_path / f"film.{container}", frames, times)
    file = rung(transcode(source, tmp_path / "out"))
    seen = numbers(file)
    assert facts(file).rate == rate
    assert sorted(set(seen)) == list(range(frames)), f"lost {sorted(set(range(frames)) - set(seen))}"
    assert seen == sorted(seen)
    assert len(seen) - frames <= repeated, f"{len(seen) - frames} repeated"


def test_unstandard_mean_gets_a_standard_rate_without_loss(tmp_path: Path) -> None:
    # About 16.9 frames a second, 40 to 80 ms apart.
    source = numbered_film(tmp_path / "film.mp4", 123, "5325*N+850*sin(N*N*0.7)")
    file = rung(transcode(source, tmp_path / "out"))
    assert sorted(set(numbers(file))) == list(range(123))
    assert facts(file).rate in STANDARD


def test_chunks_keep_the_same_frames(tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50")
    source = numbered_film(tmp_path / "film.mp4", 250, "7200*N+3200+3200*cos(N*1.7)", *options)
    made = {}
    for name, chunks in {"cut": (), "whole": ("--chunks", "off")}.items():
        outcome = transcode(source, tmp_path / name, *chunks)
        made[name] = numbers(rung(outcome))
    assert sorted(set(made["whole"])) == list(range(250))
    assert made["cut"] == made["whole"]


def test_wrong_rate_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturbed_ffmpeg: Callable[[str, str], Path]) -> None:
    source = numbered_film(tmp_path / "film.mp4", 30, "3600*N")
    # The right number of frames, each of them 4 % too long.
    monkeypatch.setenv("ABANICO_FFMPEG", str(disturbed_ffmpeg("setsar=1[", "setpts=PTS*25/24,setsar=1[")))
    outcome = transcode(source, tmp_path / "out")
    assert outcome.status == 1 and "frame rate" in outcome.failure["message"], outcome.failure
