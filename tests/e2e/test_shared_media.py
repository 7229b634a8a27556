"""Do real files come out right, and broken ones as a clear error?

Needs the folder with real files (see `shared_media()`); skips without it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import shared_media
from orientation import UPRIGHT, turn_between
from shared_media import BENCH, ODD, REFUSED, SPECIAL, TURNED, bench_expected
from transcoding import THREE_PRESETS, all_files, check_rendition, preset_options, transcode

MEDIA = shared_media()
pytestmark = pytest.mark.skipif(MEDIA is None, reason="real files are not here: set ABANICO_SHARED to their folder")


@pytest.mark.parametrize("name", ODD)
def test_does_an_odd_file_come_out_right(name: str, tmp_path: Path) -> None:
    expected = ODD[name]
    source, out = MEDIA / "odd" / name, tmp_path / "out"
    outcome = transcode(source, out)
    assert outcome.status == 0, outcome.stderr
    wanted = [out / f"{source.stem}_{ending}.mp4" for ending in expected.sizes]
    assert outcome.outputs == wanted
    assert all_files(out) == sorted(wanted), "nothing else lies in the output folder"
    for file, size in zip(wanted, expected.sizes.values(), strict=True):
        check_rendition(file, size, expected)
        if name in TURNED:
            assert turn_between(source, file) == UPRIGHT, file.name


@pytest.mark.parametrize("path", REFUSED)
def test_is_a_file_without_video_refused_with_its_reason(path: str, tmp_path: Path) -> None:
    outcome = transcode(MEDIA / path, tmp_path / "out")
    assert outcome.status == 1
    assert outcome.failure["code"] == REFUSED[path].code
    assert REFUSED[path].words in outcome.failure["message"]
    assert outcome.outputs == []
    assert all_files(tmp_path / "out") == [], "nothing of a failed job is published"


@pytest.mark.parametrize("name", BENCH)
def test_does_the_three_preset_job_give_exact_renditions(name: str, tmp_path: Path) -> None:
    outcome = transcode(MEDIA / "bench" / name, tmp_path / "out", *preset_options())
    assert outcome.status == 0, outcome.stderr
    assert len(outcome.outputs) == len(THREE_PRESETS)
    by_size = dict(zip(THREE_PRESETS.values(), outcome.outputs, strict=True))
    for size, file in by_size.items():
        check_rendition(file, size, bench_expected(name, {}))


def test_is_every_real_file_in_a_table() -> None:
    folders = {folder: {file.name for file in (MEDIA / folder).iterdir()} for folder in ("odd", "broken", "bench")}
    refused = {path.partition("/")[2] for path in REFUSED}
    assert folders["odd"] | folders["broken"] == set(ODD) | refused
    assert folders["bench"] == set(BENCH)
    assert set().union(*folders.values()) == set(SPECIAL)
