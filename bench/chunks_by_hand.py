#!/usr/bin/env python3
"""Encodes a film in chunks as people do who script it, in Av1an's way: scenes are found, each is encoded by itself with
as many encodes side by side as there are processors, and the files are joined.

In: a film, a folder, a preset and rungs as WIDTHxHEIGHT:RATE. Out: one MP4 file for each rung, named by its height.
Never anything of abanico's: this is what it is compared with.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

#: How different a frame is from the one before where a scene begins (ffmpeg's documentation proposes 0.3 to 0.5).
SCENE = 0.3
#: A chunk is no shorter, and longer scenes are cut (Av1an's defaults are of this size at 24 frames a second).
SHORTEST_S, LONGEST_S = 1, 10


def main() -> None:
    """Finds scenes, encodes and joins."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("preset")
    parser.add_argument("rate", type=Fraction, help="frames a second")
    parser.add_argument("frames", type=int)
    parser.add_argument("rungs", nargs="+", help="WIDTHxHEIGHT:RATE, bits a second")
    given = parser.parse_args()
    cuts = chunk_starts(scenes(given.film, given.rate), given.rate, given.frames)
    ends = [*cuts[1:], given.frames]
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        encodes = [workers.submit(encode, given, number, begin, end) for number, (begin, end) in enumerate(zip(cuts, ends, strict=True))]
        for one in encodes:
            one.result()
    for rung in given.rungs:
        join(given.folder, height(rung), len(cuts))


def height(rung: str) -> str:
    """Lines of a rung's picture."""
    return rung.partition(":")[0].partition("x")[2]


def scenes(film: Path, rate: Fraction) -> list[int]:
    """Frames with which scenes begin."""
    graph = f"scale=-2:240:flags=bilinear,select='gt(scene,{SCENE})',showinfo"
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-i", str(film), "-an", "-vf", graph, "-fps_mode", "passthrough", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [round(Fraction(found) * rate) for found in re.findall(r"pts_time:([0-9.]+)", told)]


def chunk_starts(found: list[int], rate: Fraction, frames: int) -> list[int]:
    """First frames of the chunks."""
    starts = [0]
    for cut in [*found, frames]:
        while cut - starts[-1] > LONGEST_S * rate:
            starts.append(starts[-1] + int(LONGEST_S * rate))
        if min(cut - starts[-1], frames - cut) >= SHORTEST_S * rate:
            starts.append(cut)
    return starts


def encode(given: argparse.Namespace, number: int, begin: int, end: int) -> None:
    """One chunk, all rungs from one decode, with one thread each."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", "1", "-filter_complex_threads", "1"]
    if begin:
        # Half a frame early, so that rounding takes none away.
        command += ["-ss", f"{float((begin - Fraction(1, 2)) / given.rate):.6f}"]
    names = "".join(f"[s{index}]" for index in range(len(given.rungs)))
    graph = f"[0:v]split={len(given.rungs)}{names}"
    sizes = [rung.partition(":")[0].replace("x", ":") for rung in given.rungs]
    graph += "".join(f";[s{index}]scale={size}:flags=bicubic[v{index}]" for index, size in enumerate(sizes))
    command += ["-i", str(given.film), "-filter_complex", graph]
    for index, rung in enumerate(given.rungs):
        rate = int(rung.partition(":")[2])
        words = ["-c:v", "libx264", "-preset", given.preset, "-profile:v", "high", "-g", str(round(2 * given.rate)), "-pix_fmt", "yuv420p"]
        words += ["-b:v", str(rate), "-maxrate", str(rate * 3 // 2), "-bufsize", str(rate * 2), "-threads", "1", "-fps_mode", "passthrough"]
        file = given.folder / f"{number:04}-{height(rung)}.mp4"
        command += ["-map", f"[v{index}]", "-frames:v", str(end - begin), *words, str(file)]
    subprocess.run(command, check=True)


def join(folder: Path, lines: str, count: int) -> None:
    """One rung's chunks as one file."""
    names = [f"{number:04}-{lines}.mp4" for number in range(count)]
    listed = folder / f"{lines}.txt"
    listed.write_text("".join(f"file '{name}'\n" for name in names))
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-f", "concat", "-i", str(listed), "-c", "copy"]
    subprocess.run([*command, "-movflags", "+faststart", str(folder / f"{lines}.mp4")], check=True)


if __name__ == "__main__":
    main()
