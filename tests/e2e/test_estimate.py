"""Does the estimate add up? The test has its own list of prices, so that the results can be computed by hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import WORKSPACE, binary

PRICES = """
date = "today"
[multipliers]
source = "made up"
size = { SD = 1, HD = 2, 4K = 4 }
rate = { "<=30" = 1, "<=60" = 3 }
[regions.here]
mediaconvert_source = "made up"
basic_minute = "0.06"
professional_avc_minute = "0.12"
lambda_source = "made up"
lambda_gb_second = "0.001"
lambda_million_requests = "1000000"
[speed]
source = "made up"
decode_cpu_seconds_per_gigapixel = "1"
encode_cpu_seconds_per_gigapixel = { very_fast = "10", fast = "20", medium = "30" }
"""


def estimate(clip: Path, prices: Path, *words: str) -> subprocess.CompletedProcess:
    """Runs `abanico aws estimate` with the test's prices."""
    job = WORKSPACE / "deploy" / "jobs" / "three-mp4.json"
    command = [str(binary()), "aws", "--region", "here", "estimate", str(clip), "--job", str(job)]
    return subprocess.run(
        [*command, "--prices", str(prices), *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A file with the test's prices."""
    file = tmp_path / "prices.toml"
    file.write_text(PRICES)
    return file


def test_outputs_are_billed_by_size_rate_and_length(clips: Clips, prices: Path) -> None:
    clip = clips.file(Clip(width=640, height=360, rate="24000/1001", frames=24))
    told = json.loads(estimate(clip, prices, "--json").stdout)
    lines = [(one["size_class"], one["tier"], one["seconds"], one["multiplier"], one["price"]) for one in
             told["mediaconvert"]["outputs"]]  # fmt: skip
    # One second is billed as ten: a sixth of a minute at 0.12 dollars is 0.02, times two for HD.
    hd, sd = ("HD", "professional", 10, 2, 40_000), ("SD", "professional", 10, 1, 20_000)
    assert lines == [hd, hd, sd]
    assert told["mediaconvert"]["total"] == 100_000
    # 24 frames are decoded at 640x360 and encoded at 1920x1080, 1280x720 and 640x480, at 30 s per gigapixel.
    decoded, encoded = 24 * 640 * 360, 24 * (1920 * 1080 + 1280 * 720 + 640 * 480)
    # The presets ask for several passes. The two large outputs share a first pass of 960x540 at 10 s per gigapixel; the small
    # one has its own of 320x240. Each first pass decodes the source once more.
    analysed = 24 * (960 * 540 + 320 * 240)
    cpu = (3 * decoded * 1 + analysed * 10 + encoded * 30) / 1e9
    assert told["lambda"]["cpu_seconds"] == -(-cpu // 1)
    # 1,769 MB at 0.001 dollars per gigabyte-second, and one invocation at one dollar.
    assert abs(told["lambda"]["price"] / 1e6 - (cpu * 1769 / 1024 * 0.001 + 1)) < 0.0002


def test_unknown_prices_stay_unknown(clips: Clips, prices: Path) -> None:
    prices.write_text(PRICES.replace('professional_avc_minute = "0.12"\n', ""))
    clip = clips.file(Clip(width=640, height=360, frames=25))
    done = estimate(clip, prices)
    assert done.returncode == 0, done.stderr
    assert "not known" in done.stdout
    assert json.loads(estimate(clip, prices, "--json").stdout)["mediaconvert"]["total"] is None


def test_wrong_prices_and_files_are_reported(clips: Clips, prices: Path, tmp_path: Path) -> None:
    clip = clips.file(Clip(width=640, height=360, frames=25))
    prices.write_text(PRICES.replace("[regions.here]", "[regions.there]"))
    unknown = estimate(clip, prices)
    assert (unknown.returncode, "known regions: there" in unknown.stderr) == (2, True), unknown.stderr
    prices.write_text("date = 1")
    assert estimate(clip, prices).returncode == 2
    assert estimate(tmp_path / "missing.mp4", prices).returncode != 0
