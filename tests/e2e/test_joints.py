"""Does every chunk show what the source shows where it meets the chunk before it, whatever the source's key frames are?

Faults are planted by an ffmpeg that changes the filters of one chunk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import binary
from test_chunks import FRAMES, SMALL, chunks, film, job_file, likeness, planned, rung

BACK = "with the source read from farther back"
QUICK = {"QualityTuningLevel": "SINGLE_PASS", "RateControlMode": "QVBR", "QvbrSettings": {"QvbrQualityLevel": 7}}


def one_rung() -> dict:
    """Returns a rung that is encoded in one pass."""
    made = rung("a", SMALL, **QUICK)
    del made["VideoDescription"]["CodecSettings"]["H264Settings"]["Bitrate"]
    return made


def encode(source: Path, folder: Path, program: Path | None = None, wanted: dict | None = None) -> subprocess.CompletedProcess[str]:
    """Encodes a film in chunks, with this ffmpeg."""
    folder.mkdir()
    command = [str(binary()), "transcode", str(source), "--job", str(job_file(folder, [wanted or one_rung()])), "--out", str(folder / "out")]
    environment = {**os.environ, "RUST_LOG": "abanico_engine=info,abanico_tasks=info"}
    if program:
        environment["ABANICO_FFMPEG"] = str(program)
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)


def changed_in(tasks: str, filters: str, folder: Path) -> Path:
    """Writes an ffmpeg that applies more filters to the frames of the tasks whose names match."""
    program = folder / "ffmpeg"
    program.write_text(f"""#!/bin/bash
words=()
for word in "$@"; do
    case "$*" in *{tasks}*) word="${{word//,fps=fps=/,{filters},fps=fps=}}" ;; esac
    words+=("$word")
done
exec {shutil.which("ffmpeg")} "${{words[@]}}"
""")
    program.chmod(0o755)
    return program


def is_every_frame_in_place(made: Path, source: Path) -> bool:
    """Whether each frame looks like its own of the source, and more so than like the next one."""
    own, late = likeness(made, source), likeness(made, source, 1)
    return len(own) == FRAMES and min(own) > 25 and all(right > wrong for right, wrong in zip(own, late, strict=False))


def test_noise_without_bits_is_no_fault(tmp_path: Path) -> None:
    """At 50 kb/s, flickering noise loses even its coarse shapes, but its joints are in place."""
    noise = film(tmp_path / "noise.mp4", "-vf", "noise=alls=60:allf=t,eq=brightness='0.5*sin(t)':eval=frame", width=640)
    starved = one_rung()
    starved["VideoDescription"]["CodecSettings"]["H264Settings"] |= {"MaxBitrate": 50_000, "HrdBufferSize": 100_000}
    done = encode(noise, tmp_path / "made", wanted=starved)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with key frames that decoding can start at."""
    return film(tmp_path_factory.mktemp("joints") / "film.mp4", width=SMALL)


@pytest.mark.parametrize("name", ["refreshed.mp4", "refreshed.mkv"])
def test_film_refreshed_bit_by_bit_is_whole_at_every_joint(name: str, tmp_path: Path) -> None:
    refresh = ["-preset", "veryfast", "-x264-params", "intra-refresh=1:keyint=30"]
    refreshed = film(tmp_path / name, *refresh, width=SMALL)
    assert len(chunks(planned(refreshed, tmp_path, [one_rung()]))) >= 3, "without chunks, nothing is tested here"
    done = encode(refreshed, tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert is_every_frame_in_place(tmp_path / "made" / "out" / "refreshed_a.mp4", refreshed)


def test_usual_film_is_encoded_once(source: Path, tmp_path: Path) -> None:
    done = encode(source, tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert BACK not in done.stderr
    assert is_every_frame_in_place(tmp_path / "made" / "out" / "film_a.mp4", source)


FAULTS = {
    "one frame late": "setpts=PTS-1/15/TB",
    "two frames early": "setpts=PTS+2/15/TB",
    "a part not decoded": "drawbox=0:0:iw:ih/4:gray:fill",
    "another scene": "hflip",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_chunk_with_a_fault_is_encoded_again(fault: str, source: Path, tmp_path: Path) -> None:
    program = changed_in("chunk-0002.partial", fault, tmp_path)
    done = encode(source, tmp_path / "made", program)
    assert done.returncode == 0, done.stderr
    [told] = [line for line in done.stderr.splitlines() if BACK in line]
    assert "number=2" in told, told
    assert is_every_frame_in_place(tmp_path / "made" / "out" / "film_a.mp4", source)


@pytest.mark.parametrize("fault", ["one frame late", "another scene"])
def test_fault_that_stays_fails_the_job(fault: str, source: Path, tmp_path: Path) -> None:
    # Both encodes of the chunk, but not the looks at them.
    program = changed_in("chunk-0002.partial*|*chunk-0002-0-farther-back.partial", FAULTS[fault], tmp_path)
    done = encode(source, tmp_path / "made", program)
    assert done.returncode == 1, done.stderr
    [told] = [line for line in done.stderr.splitlines() if ": error 1999: " in line]
    assert "differs from its source at" in told and "where two chunks meet" in told and "film.mp4" in told
    assert not list((tmp_path / "made" / "out").glob("*.mp4")), json.dumps(os.listdir(tmp_path / "made" / "out"))
