"""Does the judge of `make films` notice what it is there for, and is it silent where nothing is wrong?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from harness import WORKSPACE

sys.path.insert(0, str(WORKSPACE / "tests"))

from films import judge  # noqa: E402
from films.conditions import AAC, X264, Truth, ffmpeg  # noqa: E402


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean film."""
    return Truth().make(tmp_path_factory.mktemp("truth"))


def changed(truth: Path, folder: Path, pictures: str = "null", sounds: str = "anull", *options: str) -> Path:
    """Encodes the film with changed pictures and sound, coarsely, at another size."""
    file = folder / "made.mp4"
    coarse = [*X264, "-crf", "30"]
    ffmpeg("-i", truth, "-vf", f"{pictures},scale=426:240", "-af", sounds, *coarse, *AAC, *options, file)
    return file


def faults(made: Path, truth: Path) -> list[str]:
    """Returns all that the judge finds."""
    return [
        *judge.picture_faults(judge.pictures(made), judge.pictures(truth)),
        *judge.sound_faults(judge.sound(made), judge.sound(truth)),
        *judge.stamp_faults(made),
    ]


def test_coarse_encode_is_no_fault(truth: Path, tmp_path: Path) -> None:
    assert faults(changed(truth, tmp_path), truth) == []


PICTURES = {
    "a picture late": ("setpts=PTS+0.04/TB,tpad=start=1:start_mode=clone,trim=end_frame=100", "out of place"),
    "a picture lost on the way": ("select='not(eq(n,50))',setpts=N/25/TB,tpad=stop=1:stop_mode=clone", "out of place"),
    "the end lost": ("trim=end_frame=95", "lasts"),
    "part of a picture grey": ("drawbox=0:0:iw:ih/3:gray:fill:enable='eq(n,60)'", "unlike the source"),
    "upside down": ("vflip", "unlike the source"),
}


@pytest.mark.parametrize("fault", PICTURES)
def test_wrong_pictures_are_noticed(fault: str, truth: Path, tmp_path: Path) -> None:
    filters, told = PICTURES[fault]
    found = faults(changed(truth, tmp_path, filters), truth)
    assert any(told in one for one in found), found


FITTED = "scale=320:180,pad=320:240"
CENTRED = f"{FITTED}:0:30"
FRAMED = {
    "bars above and below": (CENTRED, None),
    "bars on both sides": ("scale=320:180,pad=480:180:80:0", None),
    "stretched without bars": ("scale=320:240", "unlike the source"),
    "cropped without bars": ("scale=426:240,crop=320:240", "unlike the source"),
    "all bars below": (f"{FITTED}:0:0", "unlike the source"),
    "grey bars": (f"{CENTRED}:gray", "bars are not black"),
    "a picture late within bars": (f"{CENTRED},setpts=PTS+0.04/TB,tpad=start=1:start_mode=clone,trim=end_frame=100", "out of place"),
}


@pytest.mark.parametrize("fault", FRAMED)
def test_bars_are_told_from_faults(fault: str, truth: Path, tmp_path: Path) -> None:
    filters, told = FRAMED[fault]
    ffmpeg("-i", truth, "-vf", f"{filters},setsar=1", *X264, tmp_path / "made.mp4")
    made, found = judge.picture_within(tmp_path / "made.mp4", truth)
    found += judge.picture_faults(made, judge.pictures(truth))
    assert any(told in one for one in found) if told else found == [], found


GRADE = "eq=gamma=0.6:contrast=0.8"
GRADED = {
    "darker in the middle": (GRADE, None),
    "darker and a picture late": (f"{GRADE},setpts=PTS+0.04/TB,tpad=start=1:start_mode=clone,trim=end_frame=100", "out of place"),
    "darker and upside down": (f"{GRADE},vflip", "unlike the source"),
}


@pytest.mark.parametrize("fault", GRADED)
def test_other_range_of_brightness_is_told_from_faults(fault: str, truth: Path, tmp_path: Path) -> None:
    filters, told = GRADED[fault]
    made, clean = judge.pictures(changed(truth, tmp_path, filters)), judge.pictures(truth)
    found = judge.picture_faults(made, judge.graded(judge.shown_by(clean, made), made))
    assert any(told in one for one in found) if told else found == [], found


SOUNDS = {
    "late": ("adelay=80:all=1", "off by"),
    "silent from the middle": ("volume=0:enable='gt(t,2)'", "another"),
    "the end lost": ("atrim=end=3", "lasts"),
    "another speed": ("asetrate=46000,aresample=48000", "sound"),
}


@pytest.mark.parametrize("fault", SOUNDS)
def test_wrong_sound_is_noticed(fault: str, truth: Path, tmp_path: Path) -> None:
    filters, told = SOUNDS[fault]
    found = faults(changed(truth, tmp_path, "null", filters), truth)
    assert any(told in one for one in found), found


def test_uneven_sound_packets_and_missing_sound_are_noticed(truth: Path, tmp_path: Path) -> None:
    whole = changed(truth, tmp_path)
    ffmpeg("-i", whole, "-c", "copy", "-bsf:a", "noise=drop=eq(n\\,80)", tmp_path / "gap.mp4")
    assert any("uneven" in one for one in faults(tmp_path / "gap.mp4", truth))
    ffmpeg("-i", whole, "-c", "copy", "-an", tmp_path / "silent.mp4")
    assert "has no sound" in faults(tmp_path / "silent.mp4", truth)


def test_colour_beyond_what_rounding_changes_is_noticed() -> None:
    assert judge.colour_fault((0, 192, 4), (0, 192, 0)) is None
    assert judge.colour_fault((15, 225, 7), (0, 192, 0)) is not None
