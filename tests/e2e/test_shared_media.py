"""Are real files transcoded correctly, and do broken ones give a clear error?

Needs the folder with real files (see `shared_media()`), and is skipped without it. `test_stand_ins.py` tests small synthetic
files of the same kinds everywhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import shared_media
from orientation import UPRIGHT, turn_between
from shared_media import BENCH, ODD, REFUSED, SPECIAL, TURNED, bench_expected
from transcoding import check_ladder, check_refusal, check_three_presets, preset_options, transcode

MEDIA = shared_media()
pytestmark = pytest.mark.skipif(MEDIA is None, reason="the real files are missing: set ABANICO_SHARED to the folder of `media`")


@pytest.mark.parametrize("name", ODD)
def test_odd_file_is_transcoded_correctly(name: str, tmp_path: Path) -> None:
    source, out = MEDIA / "odd" / name, tmp_path / "out"
    for file in check_ladder(transcode(source, out), source, out, ODD[name]):
        if name in TURNED:
            assert turn_between(source, file) == UPRIGHT, file.name


@pytest.mark.parametrize("path", REFUSED)
def test_file_without_video_is_refused_with_its_reason(path: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_refusal(transcode(MEDIA / path, out), out, REFUSED[path])


@pytest.mark.parametrize("name", BENCH)
def test_three_preset_job_gives_exact_renditions(name: str, tmp_path: Path) -> None:
    outcome = transcode(MEDIA / "bench" / name, tmp_path / "out", *preset_options())
    check_three_presets(outcome, bench_expected(name, {}))


def test_every_real_file_is_in_a_table() -> None:
    folders = {folder: {file.name for file in (MEDIA / folder).iterdir()} for folder in ("odd", "broken", "bench")}
    refused = {path.partition("/")[2] for path in REFUSED}
    assert folders["odd"] | folders["broken"] == set(ODD) | refused
    assert folders["bench"] == set(BENCH)
    assert set().union(*folders.values()) == set(SPECIAL)
