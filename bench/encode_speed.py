"""Measures the CPU time of H.264 on this machine for `abanico aws estimate`, for each pass and each of abanico's speed presets.

Encodes a clip with ffmpeg and prints the table `[speed]` of crates/estimate/prices.toml; `--write` replaces the old table. The figures are CPU seconds per gigapixel for decoding, for a first pass, and for encoding with and without a first pass. The last two are means over three sizes. Decoding and scaling are measured alone and subtracted.

Measure on an otherwise idle machine. Don't mix these figures with those of another machine, clip or version.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ABANICO_SHARED") or WORKSPACE.parent / "shared")
CLIP = SHARED / "media" / "bench" / "bbb_1080p25_60s_aac51.ts"
PRICES = WORKSPACE / "crates" / "estimate" / "prices.toml"
# libx264's presets for the steps in crates/ffmpeg/src/encoder_args.rs, and the parameters that it adds.
PRESETS = {"very_fast": "veryfast", "fast": "faster", "medium": "medium"}
QUICKER = {"faster": ":ref=1:me=dia:subme=3"}
# In a job, the two larger rungs share the first pass of the largest, and the smallest has its own. Here all three share one.
RUNGS = ((1920, 1080, 6_000), (1280, 720, 4_500), (854, 480, 1_500))
ANALYSED = (960, 540)
RATE = 25
PARAMS = "open-gop=0:b-pyramid=normal:b-adapt=2:aq-mode=2:aq-strength=0.7"


def cpu_seconds(arguments: list[str]) -> float:
    """Returns the CPU time of one ffmpeg run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=3600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    """The first seconds of a clip, encoded in several ways."""

    def __init__(self, clip: Path, seconds: int, statistics: Path) -> None:
        self.source = ["-t", str(seconds), "-i", str(clip), "-an", "-r", str(RATE)]
        self.frames = seconds * RATE
        self.statistics = statistics

    def decode(self) -> float:
        """Returns the CPU seconds per gigapixel for decoding 1080p."""
        return self.rate(cpu_seconds([*self.source, "-f", "null", "-"]), 1920, 1080)

    def encode(self, width: int, height: int, preset: str, rate_control: list[str], params: str) -> float:
        """Returns the CPU seconds per gigapixel of one encode, without those of decoding and scaling."""
        scaled = [*self.source, "-vf", f"scale={width}:{height}:flags=lanczos,format=yuv420p"]
        alone = cpu_seconds([*scaled, "-f", "null", "-"])
        frames = ["-g", "50", "-keyint_min", "5", "-bf", "3", "-x264-params", PARAMS + QUICKER.get(preset, "") + params]
        encoder = ["-c:v", "libx264", "-preset", preset, "-profile:v", "high", *rate_control, *frames]
        return self.rate(cpu_seconds([*scaled, *encoder, "-f", "null", "-"]) - alone, width, height)

    def first_pass(self) -> float:
        """Measures a first pass like the plan's: half the size, one quality, no maximum rate, and a long lookahead."""
        rate_control = ["-crf", "23", "-maxrate", "1000M", "-bufsize", "2000M"]
        params = f":weightp=1:rc-lookahead=40:pass=1:stats={self.statistics}"
        return self.encode(*ANALYSED, "veryfast", rate_control, params)

    def one_pass(self, preset: str) -> float:
        """Returns the mean of the rungs in one pass, which does its own lookahead."""
        return self.mean(preset, "")

    def second_pass(self, preset: str) -> float:
        """Returns the mean of the rungs, each of which reads the first pass made before."""
        return self.mean(preset, f":weightp=1:pass=2:stats={self.statistics}")

    def mean(self, preset: str, params: str) -> float:
        rates = []
        for width, height, kbps in RUNGS:
            control = ["-b:v", f"{kbps}k", "-maxrate", f"{kbps * 3 // 2}k", "-bufsize", f"{kbps * 2}k"]
            rates.append(self.encode(width, height, preset, control, params))
        return sum(rates) / len(rates)

    def rate(self, seconds: float, width: int, height: int) -> float:
        return seconds / (self.frames * width * height) * 1e9


def speed_table(source: str, decode: float, first: float, one: dict[str, float], second: dict[str, float]) -> str:
    """Returns the table `[speed]` in the form of prices.toml."""

    def steps(rates: dict[str, float]) -> str:
        return "{ " + ", ".join(f'{step} = "{rate:.1f}"' for step, rate in rates.items()) + " }"

    return "\n".join([
        "[speed]",
        f'source = "{source}"',
        f'decode_cpu_seconds_per_gigapixel = "{decode:.1f}"',
        f"encode_cpu_seconds_per_gigapixel = {steps(one)}",
        f'first_pass_cpu_seconds_per_gigapixel = "{first:.1f}"',
        f"second_pass_cpu_seconds_per_gigapixel = {steps(second)}",
        "",
    ])  # fmt: skip


def with_speed(prices: str, table: str) -> str:
    """Returns the list of prices with the table `[speed]` replaced. Everything else stays the same to the byte."""
    written, count = re.subn(r"^\[speed\]\n(?:(?!\[).+\n?)*", lambda _: table, prices, flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"encode_speed: the list of prices has {count} tables `[speed]` instead of one")
    return written


def measured(clip: Path, seconds: int) -> str:
    """Measures this machine and returns its table."""
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(clip, seconds, Path(folder) / "first-pass.log")
        decode, first = bench.decode(), bench.first_pass()
        one = {step: bench.one_pass(preset) for step, preset in PRESETS.items()}
        # SINGLE_PASS, the step very_fast, has no first pass.
        second = {step: bench.second_pass(preset) for step, preset in PRESETS.items() if step != "very_fast"}
    source = (
        f"bench/encode_speed.py on {os.cpu_count()} cores, ffmpeg {version}, {seconds} s of {clip.name}, "
        f"{datetime.date.today()}"
    )
    return speed_table(source, decode, first, one, second)


def main() -> None:
    """Measures, prints the table and, with `--write`, stores it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("--seconds", type=int, default=20, help="length to encode in seconds (default: 20)")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PRICES.relative_to(WORKSPACE)}")
    words = parser.parse_args()
    if not words.clip.exists():
        sys.exit(f"encode_speed: `{words.clip.name}` does not exist: name a clip of at least {words.seconds} s")
    table = measured(words.clip, words.seconds)
    print(table, end="")
    if words.write:
        PRICES.write_text(with_speed(PRICES.read_text(), table))


if __name__ == "__main__":
    main()
