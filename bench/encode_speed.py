"""How much CPU does H.264 take here, pass by pass, by abanico's speed steps? For `abanico aws estimate`.

In: a clip (default: the shared 1080p one) and ffmpeg. Out: the table `[speed]` of crates/estimate/prices.toml, printed, or with
`--write` put in the place of the old one: CPU seconds for a thousand million pixels to decode, to make a first pass, and to
encode in one pass and after a first pass, the mean of three sizes. Decoding and scaling are measured alone and taken off.

Measure on a machine that does nothing else. Never a figure of another machine, clip or version beside these.
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
# What crates/ffmpeg/src/encoder_args.rs calls the steps for libx264, and what it adds.
PRESETS = {"very_fast": "veryfast", "fast": "faster", "medium": "medium"}
QUICKER = {"faster": ":ref=1:me=dia:subme=3"}
# The two larger share the first pass of the largest; so does the smallest here, whose own would be of its own size.
RUNGS = ((1920, 1080, 6_000), (1280, 720, 4_500), (854, 480, 1_500))
ANALYSED = (960, 540)
RATE = 25
PARAMS = "open-gop=0:b-pyramid=normal:b-adapt=2:aq-mode=2:aq-strength=0.7"


def cpu_seconds(arguments: list[str]) -> float:
    """CPU time of one ffmpeg."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=3600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Bench:
    """A clip and so many seconds of it, encoded in several ways."""

    def __init__(self, clip: Path, seconds: int, statistics: Path) -> None:
        self.source = ["-t", str(seconds), "-i", str(clip), "-an", "-r", str(RATE)]
        self.frames = seconds * RATE
        self.statistics = statistics

    def decode(self) -> float:
        """CPU seconds for a gigapixel of 1080p."""
        return self.rate(cpu_seconds([*self.source, "-f", "null", "-"]), 1920, 1080)

    def encode(self, width: int, height: int, preset: str, rate_control: list[str], params: str) -> float:
        """CPU seconds for a gigapixel of one encode, beyond those of decoding and scaling."""
        scaled = [*self.source, "-vf", f"scale={width}:{height}:flags=lanczos,format=yuv420p"]
        alone = cpu_seconds([*scaled, "-f", "null", "-"])
        frames = ["-g", "50", "-keyint_min", "5", "-bf", "3", "-x264-params", PARAMS + QUICKER.get(preset, "") + params]
        encoder = ["-c:v", "libx264", "-preset", preset, "-profile:v", "high", *rate_control, *frames]
        return self.rate(cpu_seconds([*scaled, *encoder, "-f", "null", "-"]) - alone, width, height)

    def first_pass(self) -> float:
        """As the plan's first passes: half the size, one quality, no ceiling; they look far ahead."""
        rate_control = ["-crf", "23", "-maxrate", "1000M", "-bufsize", "2000M"]
        params = f":weightp=1:rc-lookahead=40:pass=1:stats={self.statistics}"
        return self.encode(*ANALYSED, "veryfast", rate_control, params)

    def one_pass(self, preset: str) -> float:
        """Mean of the rungs, in one pass that looks ahead by itself."""
        return self.mean(preset, "")

    def second_pass(self, preset: str) -> float:
        """Mean of the rungs, each reading the first pass that was made before."""
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
    """The table `[speed]` as prices.toml has it."""

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
    """The list of prices with another table `[speed]`; all else stays, to the byte."""
    written, count = re.subn(r"^\[speed\]\n(?:(?!\[).+\n?)*", lambda _: table, prices, flags=re.MULTILINE)
    if count != 1:
        sys.exit(f"encode_speed: the list of prices has {count} tables [speed], not one")
    return written


def measured(clip: Path, seconds: int) -> str:
    """The table of this machine."""
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
    """Measures, then prints or writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, default=CLIP)
    parser.add_argument("--seconds", type=int, default=20, help="how much of the clip is encoded")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PRICES.relative_to(WORKSPACE)}")
    words = parser.parse_args()
    if not words.clip.exists():
        sys.exit(f"encode_speed: `{words.clip.name}` is not there: name a clip of at least {words.seconds} s")
    table = measured(words.clip, words.seconds)
    print(table, end="")
    if words.write:
        PRICES.write_text(with_speed(PRICES.read_text(), table))


if __name__ == "__main__":
    main()
