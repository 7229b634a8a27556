"""Does every film begin as its source does, and does a job fail otherwise?

Faults are planted by an ffmpeg that changes the filters of the encode, but not those of the comparison.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import binary
from outputs import output, settings
from test_chunks import RATE, SMALL, film, likeness, lowered
from test_joints import one_rung

BACK = "with the source read from farther back"
# The encodes of the film's start: as a whole, and in chunks.
ENCODES = {"whole": "/video.partial/video-0.mp4", "in chunks": "/chunk-0000.partial/video-0.mp4"}
OPTIONS = {"whole": ["--chunks", "off"], "in chunks": []}
FAULTS = {
    "a broken first group": "drawbox=0:0:iw:ih/2:gray:fill:enable='lt(n\\,15)'",
    "one frame late": f"setpts=PTS-1/{RATE}/TB",
    "the first two frames twice": f"setpts=PTS+2/{RATE}/TB",
    "another scene": "hflip",
}


def changed(task: str, folder: Path, old: str, new: str) -> Path:
    """Writes an ffmpeg that replaces words in the filters of the encode that writes this file."""
    program = folder / "ffmpeg"
    program.write_text(f"""#!/bin/bash
words=() old={shlex.quote(old)} new={shlex.quote(new)}
for word in "$@"; do
    case "${{@: -1}}" in *{task}) word="${{word/"$old"/"$new"}}" ;; esac
    words+=("$word")
done
exec {shutil.which("ffmpeg")} "${{words[@]}}"
""")
    program.chmod(0o755)
    return program


def encode(source: Path, folder: Path, clips: list[tuple[str, str]] = (), program: Path | None = None, options: list[str] = ()) -> subprocess.CompletedProcess[str]:
    """Encodes a film, or clips of it, with this ffmpeg."""
    folder.mkdir()
    clippings = [{"StartTimecode": start, "EndTimecode": end} for start, end in clips]
    inputs = [{"FileInput": "s3://in/film", "TimecodeSource": "ZEROBASED"} | ({"InputClippings": clippings} if clips else {})]
    made = one_rung()
    made.pop("AudioDescriptions", None)
    (folder / "job.json").write_text(json.dumps({"settings": lowered(settings(inputs, [made], "s3://out/film"))}))
    command = [str(binary()), "transcode", str(source), "--job", str(folder / "job.json"), "--out", str(folder / "out"), *options]
    environment = {**os.environ, "RUST_LOG": "abanico_engine=info,abanico_tasks=info"}
    if program:
        environment["ABANICO_FFMPEG"] = str(program)
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)


def timecode(frame: int) -> str:
    """Returns the timecode of a frame."""
    return f"00:00:{frame // RATE:02}:{frame % RATE:02}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that is long enough for chunks."""
    return film(tmp_path_factory.mktemp("starts") / "film.mp4", width=SMALL)


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_film_that_begins_wrong_fails_the_job(fault: str, how: str, source: Path, tmp_path: Path) -> None:
    program = changed(ENCODES[how], tmp_path, "fps=fps=", f"{FAULTS[fault]},fps=fps=")
    done = encode(source, tmp_path / "made", program=program, options=OPTIONS[how])
    assert done.returncode == 1, done.stderr
    [told] = [line for line in done.stderr.splitlines() if ": error 1999: " in line]
    assert "film.mp4` differs from its source in its first frames: " in told and "chunks" not in told, told
    assert not list((tmp_path / "made" / "out").glob("*.mp4")), json.dumps(os.listdir(tmp_path / "made" / "out"))


def test_clip_that_begins_wrong_fails_the_job(source: Path, tmp_path: Path) -> None:
    """Only the second of two clips is wrong."""
    program = changed(ENCODES["whole"], tmp_path, "[c1prepared]fps=", "[c1prepared]hflip,fps=")
    done = encode(source, tmp_path / "made", [("00:00:02:00", "00:00:03:14"), ("00:00:12:00", "00:00:13:14")], program)
    assert done.returncode == 1, done.stderr
    [told] = [line for line in done.stderr.splitlines() if ": error 1999: " in line]
    assert "film.mp4` differs from its source at 2.000 s, in the first frames of a clip: " in told, told


@pytest.mark.parametrize("name", ["refreshed.mp4", "refreshed.mkv"])
def test_clips_of_film_refreshed_bit_by_bit_begin_whole(name: str, tmp_path: Path) -> None:
    """Its entry points are none: whole pictures come only after a full round."""
    refresh = ["-preset", "veryfast", "-x264-params", "intra-refresh=1:keyint=60"]
    refreshed = film(tmp_path / name, *refresh, width=SMALL)
    starts = (10 * RATE + 7, 21 * RATE + 3)
    # The end of a clip is its last frame.
    clips = [(timecode(start), timecode(start + 2 * RATE - 1)) for start in starts]
    done = encode(refreshed, tmp_path / "made", clips)
    assert done.returncode == 0, done.stderr
    assert BACK in done.stderr, "the clips begin whole without reading farther back, so nothing is tested here"
    [made] = (tmp_path / "made" / "out").glob("*.mp4")
    truth = tmp_path / "truth.mkv"
    chosen = "+".join(f"between(n\\,{start}\\,{start + 2 * RATE - 1})" for start in starts)
    subprocess.run(["ffmpeg", "-v", "error", "-i", refreshed, "-vf", f"select={chosen}", "-fps_mode", "passthrough", "-c:v", "ffv1", truth], check=True, timeout=60)
    own, late = likeness(made, truth), likeness(made, truth, 1)
    assert len(own) == 4 * RATE and min(own) > 25
    assert all(right > wrong for right, wrong in zip(own, late, strict=False))


# What is left of the encoded video. The sound is whole.
LOST_TAILS = {
    "the last frames are gone": (f"-frames:v {4 * RATE - 8}", f"{4 * RATE - 8} frames instead of {4 * RATE}"),
    "the last frame is gone": (f"-frames:v {4 * RATE - 1}", f"{4 * RATE - 1} frames instead of {4 * RATE}"),
    "the last frame lasts as long as what is gone": (
        f"-frames:v {4 * RATE - 8} -bsf:v setts=pts=PTS:dts=DTS:duration=if(eq(N\\,{4 * RATE - 9})\\,DURATION*9\\,DURATION)",
        f"{4 * RATE - 8} frames instead of {4 * RATE}",
    ),
}


@pytest.mark.parametrize("tail", LOST_TAILS)
def test_lost_tail_of_video_fails_the_job(tail: str, tmp_path: Path) -> None:
    options, words = LOST_TAILS[tail]
    program = tmp_path / "ffmpeg"
    program.write_text(f"""#!/bin/bash
options=()
case "${{@: -1}}" in */video.partial/video-0.mp4) options=({shlex.join(options.split())}) ;; esac
exec {shutil.which("ffmpeg")} "${{@:1:$#-1}}" "${{options[@]}}" "${{@: -1}}"
""")
    program.chmod(0o755)
    short = film(tmp_path / "short.mp4", seconds=4, width=SMALL)
    made = encode(short, tmp_path / "made", program=program)
    assert made.returncode == 1, made.stderr
    [told] = [line for line in made.stderr.splitlines() if ": error 1999: " in line]
    assert words in told, told
    assert not list((tmp_path / "made" / "out").glob("*.mp4"))
