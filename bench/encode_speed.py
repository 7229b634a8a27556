"""How much CPU does H.264 take here, by abanico's speed steps? For `abanico aws estimate`.

In: a clip (default: the shared 1080p one) and ffmpeg. Out: a table for crates/estimate/prices.toml: CPU seconds for a
thousand million encoded pixels with libx264 at each preset, decoding and scaling not counted: they are measured alone
and taken off.
"""

from __future__ import annotations

import datetime
import os
import resource
import subprocess
import sys
from pathlib import Path

SHARED = Path(os.environ.get("ABANICO_SHARED") or Path(__file__).resolve().parents[2] / "shared")
CLIP = SHARED / "media" / "bench" / "bbb_1080p25_60s_aac51.ts"
PRESETS = ("veryfast", "faster", "medium")
SIZES = ((1920, 1080), (1280, 720), (854, 480))
SECONDS, RATE = 20, 25


def cpu_seconds(arguments: list[str]) -> float:
    """CPU time of one ffmpeg."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-y", *arguments]
    subprocess.run(command, check=True, timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measures and prints."""
    clip = Path(sys.argv[1]) if len(sys.argv) > 1 else CLIP
    if not clip.exists():
        sys.exit(f"encode_speed: `{clip.name}` is not there: name a clip of at least {SECONDS} s")
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    source = ["-t", str(SECONDS), "-i", str(clip), "-an", "-r", str(RATE)]
    decode = cpu_seconds([*source, "-f", "null", "-"])
    print(f"# {clip.name}, {SECONDS} s at {RATE} fps, ffmpeg {version}, {os.cpu_count()} cores, {datetime.date.today()}")
    print(f"decoding: {decode / (SECONDS * RATE * 1920 * 1080) * 1e9:.1f} CPU seconds for a gigapixel")
    for preset in PRESETS:
        rates = []
        for width, height in SIZES:
            scaled = [*source, "-vf", f"scale={width}:{height}:flags=bicubic,format=yuv420p"]
            alone = cpu_seconds([*scaled, "-f", "null", "-"])
            both = cpu_seconds([*scaled, "-c:v", "libx264", "-preset", preset, "-crf", "21", "-f", "null", "-"])
            rates.append((both - alone) / (SECONDS * RATE * width * height) * 1e9)
        shown = ", ".join(f"{rate:.1f} at {height}p" for rate, (_, height) in zip(rates, SIZES, strict=True))
        print(f"{preset}: {sum(rates) / len(rates):.1f} CPU seconds for a gigapixel ({shown})")


if __name__ == "__main__":
    main()
