#!/usr/bin/env python3
"""Encodes a film in chunks as a hand-written script would, the way Av1an does it.

Finds the scenes, encodes each one separately, with one encode per processor at a time, and joins the files. Writes one MP4 file for
each rung, named by its height. It uses nothing of abanico, because it is what abanico is compared with.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

#: A scene begins where a frame differs this much from the one before (ffmpeg's documentation proposes 0.3 to 0.5).
SCENE = 0.3
#: No chunk is shorter, and longer scenes are cut (Av1an's defaults are about the same at 24 frames per second).
SHORTEST_S, LONGEST_S = 1, 10


def main() -> None:
    """Finds scenes, encodes them and joins the files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("preset")
    parser.add_argument("rate", type=Fraction, help="frames per second")
    parser.add_argument("frames", type=int)
    parser.add_argument("rungs", nargs="+", help="WIDTHxHEIGHT:RATE, with RATE in bits per second")
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
    """Returns the height of a rung."""
    return rung.partition(":")[0].partition("x")[2]


def scenes(film: Path, rate: Fraction) -> list[int]:
    """Returns the first frames of the scenes."""
    graph = f"scale=-2:240:flags=bilinear,select='gt(scene,{SCENE})',showinfo"
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-i", str(film), "-an", "-vf", graph, "-fps_mode", "passthrough", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return [round(Fraction(found) * rate) for found in re.findall(r"pts_time:([0-9.]+)", told)]


def chunk_starts(found: list[int], rate: Fraction, frames: int) -> list[int]:
    """Returns the first frames of the chunks."""
    starts = [0]
    for cut in [*found, frames]:
        while cut - starts[-1] > LONGEST_S * rate:
            starts.append(starts[-1] + int(LONGEST_S * rate))
        if min(cut - starts[-1], frames - cut) >= SHORTEST_S * rate:
            starts.append(cut)
    return starts


def encode(given: argparse.Namespace, number: int, begin: int, end: int) -> None:
    """Encodes one chunk: all rungs from one decode, with one thread each."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-threads", "1", "-filter_complex_threads", "1"]
    if begin:
        # Seek half a frame early, so that rounding loses no frame.
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
    """Joins one rung's chunks into one file."""
    names = [f"{number:04}-{lines}.mp4" for number in range(count)]
    listed = folder / f"{lines}.txt"
    listed.write_text("".join(f"file '{name}'\n" for name in names))
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-f", "concat", "-i", str(listed), "-c", "copy"]
    subprocess.run([*command, "-movflags", "+faststart", str(folder / f"{lines}.mp4")], check=True)


if __name__ == "__main__":
    main()
