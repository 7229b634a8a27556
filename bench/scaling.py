#!/usr/bin/env python3
"""Measures how an encode scales with this machine's processors, and simulates up to ten thousand encoders.

Encodes a video file (default: the shared bench clip at 1080p) with ABANICO_BIN, and writes tables to stdout and to
bench/report/scaling.md. The simulation uses the real planner's tasks for a film of two hours, which repeats the clip. It runs
them in the engine's order and by its rules: a task starts when the tasks before it are done and an encoder is free. Costs are those
measured for each chunk of the clip. Some tasks are slow, and some fail and are tried again; a fixed seed decides which.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(WORKSPACE / "tests" / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import binary, shared_media  # noqa: E402
from side_by_side import shortened  # noqa: E402

REPORT = Path(__file__).with_name("report")
ENCODERS = (1, 2, 4, 8, 16, 64, 256, 1000, 4000, 10_000)
SOME_ENCODERS = (8, 64)
FILM_SECONDS = 7200
#: One task in a hundred takes three times as long, one in two hundred fails at a random moment.
SLOW, SLOWER, FAILING = 0.01, 3.0, 0.005
SEED = 20_261_128
#: An encode that takes this many times as long as usual, and at least this many seconds, is started a second time on an idle
#: encoder. The engine has the same rule (crates/engine/src/embedded/stragglers.rs).
REISSUED_AFTER, REISSUED_NOT_BEFORE, LOOK_EVERY = 2.0, 5.0, 1.0


@dataclass(frozen=True)
class Costs:
    """Seconds of one processor: per frame for the encodes, per second of film for audio and joining."""

    first_pass: list[float]
    encode: list[float]
    sound: float
    join: float


def main() -> int:
    """Measures, simulates and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", nargs="?", type=Path, help="a film of 30 s or more (default: the shared bench clip at 1080p)")
    given = parser.parse_args()
    shared = shared_media()
    film = given.video or (shared / "bench" / "bbb_1080p25_60s_aac51.ts" if shared else None)
    if film is None:
        sys.exit("scaling: the shared clips are missing: name a video file")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(film), "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", str(clip)], check=True)
        job = job_file(clip, folder)
        lines = ["# Growing", ""]
        costs, measured = measure(clip, job, folder)
        lines += [*measured, *simulate(clip, job, folder, costs)]
    REPORT.mkdir(exist_ok=True)
    (REPORT / "scaling.md").write_text("\n".join(lines))
    print("\n".join(lines))
    return 0


def job_file(clip: Path, folder: Path) -> Path:
    """Writes a job with three rungs of the default quality, with audio."""
    source = shortened(clip, 1, folder)
    outputs = []
    for rung in source.rungs:
        own = {"rateControlMode": "VBR", "bitrate": rung.bits_per_second, "maxBitrate": rung.bits_per_second * 3 // 2,
               "gopSize": 2, "gopSizeUnits": "SECONDS", "codecProfile": "HIGH"}  # fmt: skip
        video = {"width": rung.width, "height": rung.height, "codecSettings": {"codec": "H_264", "h264Settings": own}}
        sound = {"codecSettings": {"codec": "AAC", "aacSettings": {"bitrate": 96_000, "sampleRate": 48_000, "codingMode": "CODING_MODE_2_0"}}}
        outputs.append({"nameModifier": f"_{rung.height}", "containerSettings": {"container": "MP4"}, "videoDescription": video,
                        "audioDescriptions": [sound]})  # fmt: skip
    group = {"outputGroupSettings": {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://out/film"}}, "outputs": outputs}
    inputs = [{"fileInput": "s3://in/film", "audioSelectors": {"Audio Selector 1": {"defaultSelection": "DEFAULT"}}}]
    file = folder / "job.json"
    file.write_text(json.dumps({"settings": {"inputs": inputs, "outputGroups": [group]}}))
    return file


def transcode(clip: Path, job: Path, out: Path, *options: str, processors: int) -> tuple[float, str]:
    """Transcodes on `processors` processors and returns the wall seconds and the log."""
    command = [str(binary()), "transcode", str(clip), "--job", str(job), "--out", str(out), "--force", "--json", *options]
    pinned = ["taskset", "-c", ",".join(map(str, range(processors))), *command]
    begin = time.monotonic()
    done = subprocess.run(pinned, capture_output=True, text=True, check=True, env={**os.environ, "RUST_LOG": "abanico_engine=debug,abanico_tasks=debug", "NO_COLOR": "1"})
    return time.monotonic() - begin, done.stderr


def measure(clip: Path, job: Path, folder: Path) -> tuple[Costs, list[str]]:
    """Returns the costs of tasks, and a table of one film's wall time by number of processors."""
    lines = ["| processors | in chunks, wall s | whole, wall s |", "| ---: | ---: | ---: |"]
    log = ""
    processors = 1
    while processors <= (os.cpu_count() or 1):
        chunked, log = transcode(clip, job, folder / "out", processors=processors)
        whole, _ = transcode(clip, job, folder / "out", "--chunks", "off", processors=processors)
        lines.append(f"| {processors} | {chunked:.1f} | {whole:.1f} |")
        processors *= 2
    took = {task: int(ms) / 1000 for task, ms in re.findall(r"task=(\S+?) cpu_ms=(\d+)", log)}
    frames = {task["id"]: frames_of(task) for task in plan(clip, job, os.cpu_count() or 1)["tasks"]}

    def per_frame(kind: str) -> list[float]:
        return [took[task] / frames[task] for task in took if task.startswith(kind) and frames.get(task)]

    seconds = sum(frames[task] for task in frames if task.startswith("chunk-")) / rate(clip)
    light = sum(cost for task, cost in took.items() if task.startswith(("video", "package", "verify")))
    costs = Costs(per_frame("analysis"), per_frame("chunk-"), took.get("audio-0", 0) / seconds, light / seconds)
    told = f"{statistics.mean(costs.first_pass) * 1000:.1f} ms per frame for a first pass, {statistics.mean(costs.encode) * 1000:.1f} for all rungs"
    return costs, [*lines, "", f"Processor time: {told}; {costs.sound * 1000:.1f} ms per second of audio, {costs.join * 1000:.1f} for joining and packaging.", ""]


def rate(clip: Path) -> float:
    """Returns the frames per second of the clip."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=r_frame_rate", "-of", "csv=p=0", str(clip)]
    above, below = subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip().strip(",").split("/")
    return int(above) / int(below)


def plan(clip: Path, job: Path, encoders: int) -> dict:
    """Returns the real planner's plan."""
    command = [str(binary()), "plan", str(clip), "--job", str(job), "--json", "--encoders", str(encoders)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def frames_of(task: dict) -> int:
    """Returns the number of frames that a task encodes; 0 for other tasks."""
    kind = task["kind"]
    encode = kind.get("analyse_video") or kind.get("encode_video")
    return max(branch["frames"] for branch in encode["branches"]) if encode else 0


def simulate(clip: Path, job: Path, folder: Path, costs: Costs) -> list[str]:
    """Simulates a film of two hours with more and more encoders."""
    length = float(subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", str(clip)],
        capture_output=True, text=True, check=True).stdout)  # fmt: skip
    film = folder / "film.mp4"
    loops = ["-stream_loop", str(int(FILM_SECONDS / length)), "-i", str(clip), "-t", str(FILM_SECONDS)]
    subprocess.run(["ffmpeg", "-v", "error", "-y", *loops, "-c", "copy", str(film)], check=True)
    lines = [
        f"Simulated: {FILM_SECONDS // 60} minutes, one task in {1 / SLOW:.0f} takes {SLOWER:.0f} times as long, one in {1 / FAILING:.0f} "
        "fails and is tried again. *Linear* is all processor time divided by the encoders.", "",
        "| encoders | chunks | pictures, s | of linear | without second starts, s | of linear | sound, s | join, s |",
        "| ---: |" + " ---: |" * 7,
    ]  # fmt: skip
    for encoders in ENCODERS:
        tasks = pictures(plan(film, job, encoders)["tasks"])
        once, work = run(tasks, costs, encoders, reissue=False)
        twice, _ = run(tasks, costs, encoders, reissue=True)
        chunks = sum(task["id"].startswith(("chunk-", "video")) for task in tasks)
        linear = work / encoders
        light = f"{costs.sound * FILM_SECONDS:.0f} | {costs.join * FILM_SECONDS:.0f}"
        lines.append(f"| {encoders} | {chunks} | {twice:.1f} | {linear / twice:.2f} | {once:.1f} | {linear / once:.2f} | {light} |")
    return [*lines, "", *lengths(film, job, folder, costs)]


def lengths(film: Path, job: Path, folder: Path, costs: Costs) -> list[str]:
    """Simulates films from ten seconds to two hours with some numbers of encoders."""
    lines = ["| film | " + " | ".join(f"{encoders} encoders: chunks | s | of linear" for encoders in SOME_ENCODERS) + " |",
             "| --- |" + " ---: |" * 3 * len(SOME_ENCODERS)]  # fmt: skip
    for seconds in (10, 30, 60, 600, FILM_SECONDS):
        part = folder / "part.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(film), "-t", str(seconds), "-c", "copy", str(part)], check=True)
        cells = []
        for encoders in SOME_ENCODERS:
            tasks = pictures(plan(part, job, encoders)["tasks"])
            chunks = sum(task["id"].startswith("chunk-") for task in tasks)
            took, work = run(tasks, costs, encoders, reissue=True)
            # The simulation does not model the threads of a single encode.
            cells.append(f"{chunks} | {took:.1f} | {work / encoders / took:.2f}" if chunks else "whole | – | –")
        lines.append(f"| {seconds} s | " + " | ".join(cells) + " |")
    return [*lines, ""]


def pictures(tasks: list[dict]) -> list[dict]:
    """Returns the tasks that encode, and those that they wait for."""
    before = {one for task in tasks if frames_of(task) for one in task["after"]}
    return [task for task in tasks if frames_of(task) or task["id"] in before]


def run(tasks: list[dict], costs: Costs, encoders: int, *, reissue: bool) -> tuple[float, float]:
    """Simulates the tasks. Returns when the last one ends, and the processor time of all work needed."""
    chance = random.Random(SEED)
    needed, cost, took = {}, {}, {}
    for task in tasks:
        per_frame = chance.choice(costs.first_pass if task["kind"].get("analyse_video") else costs.encode)
        cost[task["id"]] = seconds = frames_of(task) * per_frame
        needed[task["id"]] = set(task["after"])
        slow = seconds * SLOWER if chance.random() < SLOW else seconds
        took[task["id"]] = slow + (chance.random() * slow if chance.random() < FAILING else 0)
    frames = {task["id"]: frames_of(task) for task in tasks}
    encodes = [one for one in cost if frames[one]]
    usual = {kind: statistics.median(cost[one] / frames[one] for one in encodes if is_analysis(one) == kind) for kind in map(is_analysis, encodes)}
    followers: dict[str, list[str]] = {}
    for task, before in needed.items():
        for other in before:
            followers.setdefault(other, []).append(task)
    blocked = {task: len(before) for task, before in needed.items()}
    # Within a job, the first chunks' tasks go first, as in the engine.
    line = [(number_of(task), task) for task in needed if not blocked[task]]
    heapq.heapify(line)
    #: Time, task, and whether the event is a check for lateness rather than the task's end.
    events: list[tuple[float, str, bool]] = []
    repeated: set[str] = set()
    free, now, last, done = encoders, 0.0, 0.0, set()
    running: dict[bool, set[str]] = {True: set(), False: set()}
    ended = {True: 0, False: 0}
    while line or events:
        while line and free:
            _, task = heapq.heappop(line)
            running[is_analysis(task)].add(task)
            heapq.heappush(events, (now + took[task], task, False))
            free -= 1
            late = max(REISSUED_AFTER * usual[is_analysis(task)] * frames[task], REISSUED_NOT_BEFORE)
            if reissue and late < took[task]:
                heapq.heappush(events, (now + late, task, True))
        now, task, is_look = heapq.heappop(events)
        if task in done:
            continue
        if is_look:
            kind = is_analysis(task)
            if free and not line and ended[kind] >= len(running[kind]):
                repeated.add(task)
                free -= 1
                heapq.heappush(events, (now + cost[task], task, False))
            else:
                heapq.heappush(events, (now + LOOK_EVERY, task, True))
            continue
        # The other start is stopped, which frees its encoder.
        free += 2 if task in repeated else 1
        done.add(task)
        last = now
        running[is_analysis(task)].discard(task)
        ended[is_analysis(task)] += 1
        for follower in followers.get(task, []):
            blocked[follower] -= 1
            if not blocked[follower]:
                heapq.heappush(line, (number_of(follower), follower))
    assert done == set(needed)
    return last, sum(cost.values())


def is_analysis(task: str) -> bool:
    """Whether a task is an analysis, by its id."""
    return task.startswith("analysis")


def number_of(task: str) -> int:
    """Returns the number of a task's chunk."""
    digits = re.search(r"\d+$", task)
    return int(digits.group()) if digits else 0


if __name__ == "__main__":
    sys.exit(main())
