#!/usr/bin/env python3
"""Compares `abanico transcode` with one hand-typed ffmpeg command. Both run now, on this machine.

Encodes the given video files (default: generated clips with motion and sound) with ABANICO_BIN; use a release build to be fair.
Prints a table of wall and CPU seconds, their ratios, and abanico's own share of the CPU time. Machines differ, so nothing here
passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(WORKSPACE / "tests" / "e2e"))

from clips import Clip, Clips  # noqa: E402
from harness import binary, measured_server  # noqa: E402
from timing import timed  # noqa: E402
from transcoding import THREE_PRESETS, preset_options  # noqa: E402


@dataclass(frozen=True)
class Spent:
    """The cost of one run."""

    wall_s: float
    cpu_s: float
    ffmpeg_cpu_s: float


def main() -> int:
    """Runs the ways in turn, `--rounds` times, and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", nargs="*", type=Path, help="video files (default: generated clips)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default: 3)")
    parser.add_argument("--presets", action="store_true", help="use the three MP4 system presets instead of the default ladder")
    parser.add_argument("--job", type=Path, help="use a job file, as for `abanico transcode --job`, instead of the default ladder")
    given = parser.parse_args()
    options = preset_options() if given.presets else []
    if given.job:
        options = ["--job", str(given.job.resolve())]
    rows = [["file", "way", "wall s", "CPU s", "wall ratio", "CPU ratio", "own share"]]
    with tempfile.TemporaryDirectory() as folder:
        for video in given.videos or _clips(Path(folder)):
            rows += _compare(video.resolve(), options, given.rounds, Path(folder))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    job = f"{len(THREE_PRESETS)} system presets" if given.presets else given.job or "default ladder"
    print(f"\nabanico against one ffmpeg, {job}, median of {given.rounds} round(s), {os.cpu_count()} processors")
    return 0


def _clips(folder: Path) -> list[Path]:
    clips = Clips(folder)
    return [clips.file(Clip(width=1920, height=1080, frames=250)), clips.file(Clip(frames=250))]


def _compare(video: Path, options: list[str], rounds: int, folder: Path) -> list[list[str]]:
    by_hand, ours, served = [], [], []
    for number in range(rounds):
        print(f"{video.name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        # The ways alternate, so that a machine that warms up or throttles favours none of them.
        by_hand.append(_by_hand(video, options, folder))
        ours.append(_abanico(video, options, folder))
        if not options:
            served.append(_served(video, folder))
    wall, cpu = (statistics.median(getattr(run, name) for run in ours) for name in ("wall_s", "cpu_s"))
    hand_wall, hand_cpu = (statistics.median(getattr(run, name) for run in by_hand) for name in ("wall_s", "cpu_s"))
    share = statistics.median((run.cpu_s - run.ffmpeg_cpu_s) / run.cpu_s for run in ours)
    ratios = [f"{wall / hand_wall:.3f}", f"{cpu / hand_cpu:.3f}", f"{share:.1%}"]
    rows = [
        [video.name, "one ffmpeg", f"{hand_wall:.2f}", f"{hand_cpu:.2f}", "1", "1", ""],
        ["", "abanico transcode", f"{wall:.2f}", f"{cpu:.2f}", *ratios],
    ]
    if served:
        wall, cpu = (statistics.median(getattr(run, name) for run in served) for name in ("wall_s", "cpu_s"))
        ratios = [f"{wall / hand_wall:.3f}", f"{cpu / hand_cpu:.3f}", ""]
        rows.append(["", "upload to abanico serve", f"{wall:.2f}", f"{cpu:.2f}", *ratios])
    return rows


def _abanico(video: Path, options: list[str], folder: Path) -> Spent:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [str(binary()), "transcode", str(video), "--out", out, "--json", *options]
        wall_s, cpu_s, _, stdout = timed(command, Path(out))
    done = next(line for line in map(json.loads, stdout.splitlines()) if line["type"] == "done")
    return Spent(wall_s, cpu_s, done["ffmpeg_cpu_ms"] / 1000)


def _served(video: Path, folder: Path) -> Spent:
    """Measures from the first byte of the upload to the job's end. The CPU time is that of the server and everything it
    starts, from its start to its stop; the client's own CPU time is not counted."""
    with tempfile.TemporaryDirectory(dir=folder) as data:
        server = measured_server(Path(data)).start()
        try:
            start = time.monotonic()
            server.s3.upload_file(str(video), "uploads", "bench")
            job = server.wait_job("bench", seconds=3600)
            wall_s = time.monotonic() - start
            if job["Status"] != "COMPLETE":
                sys.exit(f"the job ended as {job['Status']}: {job.get('ErrorMessage')}")
            server.process.terminate()
            _, status, usage = os.wait4(server.process.pid, 0)
            server.process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            server.end()
    return Spent(wall_s, usage.ru_utime + usage.ru_stime, 0)


def _by_hand(video: Path, options: list[str], folder: Path) -> Spent:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        wall_s, cpu_s, *_ = timed(_one_command(video, options), Path(out))
    return Spent(wall_s, cpu_s, cpu_s)


def _one_command(video: Path, options: list[str]) -> list[str]:
    """Returns the one command that an expert would type: one decode, `split`, all encoders, straight to fast-start MP4.

    Filters and encoder settings are those that `abanico plan` prints for the whole film, so both ways encode the same pictures
    with the same settings. Only the first pass is left out, which a command typed by hand does not have.
    """
    planned = [str(binary()), "plan", str(video), "--chunks", "off", *options]
    printed = subprocess.run(planned, capture_output=True, text=True, check=True).stdout
    printed = re.sub(r":pass=2:stats=[^ :]+", "", printed)
    words = [shlex.split(line) for line in printed.splitlines() if line.startswith("ffmpeg ")]
    video_words = next(line for line in words if line[-1].startswith("file:video-") and "-filter_complex" in line)
    audio_words = next((line for line in words if "-c:a" in line), None)
    head_end = video_words.index("-map")
    head, outputs = video_words[:head_end], _split_outputs(video_words[head_end:])
    command = list(head)
    sound: list[str] = []
    if audio_words:
        # The same file is input 0 of both commands, so one graph can hold both.
        copies = "".join(f"[sound{number}]" for number in range(len(outputs)))
        of_sound = audio_words[audio_words.index("-filter_complex") + 1]
        command[command.index("-filter_complex") + 1] += f";{of_sound};[sound]asplit={len(outputs)}{copies}"
        sound = audio_words[audio_words.index("-c:a") : audio_words.index("-map_metadata")]
    for number, output in enumerate(outputs):
        command += output[:-1]
        command += ["-map", f"[sound{number}]", *sound] if sound else []
        command += ["-movflags", "+faststart", output[-1]]
    return command


def _split_outputs(words: list[str]) -> list[list[str]]:
    outputs: list[list[str]] = [[]]
    for word in words:
        outputs[-1].append(word)
        if word.startswith("file:"):
            outputs.append([])
    return [output for output in outputs if output]


if __name__ == "__main__":
    sys.exit(main())
