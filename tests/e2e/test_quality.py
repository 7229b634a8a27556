"""Does a film that is encoded to a quality level have that quality throughout, within its bit rate limits?"""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest
from test_chunks import probe, rung, transcode

PART_SECONDS = 5


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film whose first half is easy to encode and whose second half is hard."""
    file = tmp_path_factory.mktemp("quality") / "film.mp4"
    easy = f"smptehdbars=s=640x360:r=25:d={PART_SECONDS},drawbox=x=t*40:w=40:h=40:color=red:t=fill"
    hard = f"mandelbrot=s=640x360:r=25:end_pts={PART_SECONDS * 25},trim=duration={PART_SECONDS},noise=alls=12:allf=t"
    graph = f"{easy},format=yuv420p[a];{hard},format=yuv420p,setsar=1[b];[a]setsar=1[c];[c][b]concat=n=2:v=1:a=0[v]"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-g", "25", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-filter_complex", graph, "-map", "[v]", *coding, str(file)], check=True, timeout=120)
    return file


def likeness_of_halves(made: Path, source: Path) -> tuple[float, float]:
    """Returns the mean SSIM of each half in decibels."""
    graph = "[0:v]settb=1/1000,setpts=N[a];[1:v]settb=1/1000,setpts=N[b];[a][b]ssim=stats_file=-"
    command = ["ffmpeg", "-v", "fatal", "-i", str(made), "-i", str(source), "-lavfi", graph, "-f", "null", "-"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    luma = [float(line.split("Y:")[1].split()[0]) for line in lines if "Y:" in line]
    frames = PART_SECONDS * 25
    assert len(luma) == 2 * frames
    decibels = [-10 * math.log10(max(1 - value, 1e-4)) for value in luma]
    return sum(decibels[:frames]) / frames, sum(decibels[frames:]) / frames


def told(level: str, **quality: object) -> dict:
    """Returns a rung with a quality level."""
    own = {"RateControlMode": "QVBR", "MaxBitrate": 20_000_000, "QualityTuningLevel": level}
    made = rung("q", 640, QvbrSettings={"QvbrQualityLevel": 7, **quality}, **own)
    codec = made["VideoDescription"]["CodecSettings"]["H264Settings"]
    for member in ("Bitrate", "HrdBufferSize"):
        codec.pop(member)
    made.pop("AudioDescriptions", None)
    return made


@pytest.mark.parametrize("options", [(), ("--chunks", "off")], ids=["in chunks", "as a whole"])
def test_single_pass_hq_evens_out_quality(source: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    """SINGLE_PASS uses one rate factor throughout; SINGLE_PASS_HQ evens out the quality that it measured."""
    gaps = {}
    for level in ("SINGLE_PASS", "SINGLE_PASS_HQ"):
        transcode(source, [told(level)], tmp_path / level / "out", *options)
        made = next((tmp_path / level / "out").glob("*.mp4"))
        easy, hard = likeness_of_halves(made, source)
        gaps[level] = easy - hard
    assert gaps["SINGLE_PASS"] > 4, "the film is unsuitable for this test"
    assert gaps["SINGLE_PASS_HQ"] < gaps["SINGLE_PASS"] - 1, gaps


def test_single_pass_hq_evens_out_quality_in_h265(source: Path, tmp_path: Path) -> None:
    """libx265 supports zones, too."""
    gaps = {}
    for level in ("SINGLE_PASS", "SINGLE_PASS_HQ"):
        rung = told(level)
        own = rung["VideoDescription"]["CodecSettings"].pop("H264Settings")
        members = ("RateControlMode", "MaxBitrate", "QualityTuningLevel", "QvbrSettings", "GopSize")
        rung["VideoDescription"]["CodecSettings"] = {"Codec": "H_265", "H265Settings": {name: own[name] for name in members}}
        transcode(source, [rung], tmp_path / level / "out")
        easy, hard = likeness_of_halves(next((tmp_path / level / "out").glob("*.mp4")), source)
        gaps[level] = easy - hard
    assert gaps["SINGLE_PASS_HQ"] < gaps["SINGLE_PASS"] - 1, gaps


def test_maximum_average_bit_rate_lowers_quality(source: Path, tmp_path: Path) -> None:
    """`maxAverageBitrate` limits the mean bit rate of the whole file, whatever the quality level would use."""
    rates = {}
    for name, quality in {"free": {}, "limited": {"MaxAverageBitrate": 600_000}}.items():
        transcode(source, [told("SINGLE_PASS_HQ", **quality)], tmp_path / name / "out")
        made = next((tmp_path / name / "out").glob("*.mp4"))
        rates[name] = int(json.loads(probe(made, "stream=bit_rate"))["streams"][0]["bit_rate"])
    assert rates["free"] > 900_000, "the film is unsuitable for this test"
    assert 400_000 < rates["limited"] < 660_000, rates
