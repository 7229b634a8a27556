"""Does rate control hold? Checks means, buffers and the order of quality levels on a clip that is never easy to encode."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from harness import Server, binary
from outputs import output, run, settings, upload

SECONDS = 12


def h264(name: str, **settings: object) -> dict:
    """Returns one H.264 output."""
    codec = {"Codec": "H_264", "H264Settings": {"QualityTuningLevel": "SINGLE_PASS", "GopSize": 50.0} | settings}
    return output("MP4", codec, None, NameModifier=f"_{name}")


def h265(name: str, **settings: object) -> dict:
    """Returns one H.265 output."""
    codec = {"Codec": "H_265", "H265Settings": {"QualityTuningLevel": "SINGLE_PASS", "GopSize": 50.0} | settings}
    return output("MP4", codec, None, NameModifier=f"_{name}")


def quality(level: int) -> dict:
    """Returns QVBR settings of this level, with a maximum bit rate that is out of reach."""
    return {"RateControlMode": "QVBR", "MaxBitrate": 20_000_000, "QvbrSettings": {"QvbrQualityLevel": level}}


TWO = {"QualityTuningLevel": "MULTI_PASS_HQ"}
# Name → (output, mean, ceiling, buffer in bits, how far the mean may be off).
HELD = {
    # A clip of 12 s may exceed its mean by what the buffer holds at the start.
    "cbr": (h264("cbr", RateControlMode="CBR", Bitrate=400_000), 400_000, 400_000, 800_000, 0.05),
    "vbr": (h264("vbr", RateControlMode="VBR", Bitrate=400_000, MaxBitrate=600_000), 400_000, 600_000, 1_200_000, 0.03),
    "small": (h264("small", RateControlMode="CBR", Bitrate=400_000, HrdBufferSize=400_000), 400_000, 400_000, 400_000, 0.03),
    "two": (h264("two", **TWO, RateControlMode="VBR", Bitrate=400_000, MaxBitrate=600_000), 400_000, 600_000, 1_200_000, 0.02),
    "twocbr": (h264("twocbr", **TWO, RateControlMode="CBR", Bitrate=400_000), 400_000, 400_000, 800_000, 0.03),
    # libx265 spends what its buffer holds at the start, so a clip of 12 s may exceed its mean by that much.
    "h265cbr": (h265("h265cbr", RateControlMode="CBR", Bitrate=300_000), 300_000, 300_000, 600_000, 0.05),
    "h265vbr": (h265("h265vbr", RateControlMode="VBR", Bitrate=300_000, MaxBitrate=450_000), 300_000, 450_000, 900_000, 0.05),
}
LEVELS = {level: h264(f"q{level}", **quality(level)) for level in (2, 5, 7, 9)}
GROUPS = h264("gop", RateControlMode="CBR", Bitrate=400_000, SceneChangeDetect="DISABLED")


def inspected(file: Path, *options: str) -> tuple[int, dict]:
    """Runs `abanico inspect` on a file and returns its exit status and its report."""
    command = [str(binary()), "inspect", str(file), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of all renditions, by output name."""
    folder = tmp_path_factory.mktemp("rates")
    source = folder / "noisy.mp4"
    picture = f"testsrc2=s=640x360:r=25:d={SECONDS},noise=alls=25:allf=t"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run([*command, "-crf", "12", "-pix_fmt", "yuv420p", str(source)], check=True, timeout=120)
    server.s3.create_bucket(Bucket="masters")
    outputs = [*(one for one, *_ in HELD.values()), *LEVELS.values(), GROUPS]
    run(server, settings([{"FileInput": upload(server, source, "noisy.mp4")}], outputs, "s3://renditions/rates/x"))
    files = {}
    for one in outputs:
        name = one["NameModifier"].removeprefix("_")
        files[name] = folder / f"{name}.mp4"
        server.download(f"rates/x_{name}.mp4", files[name])
    return files


@pytest.mark.parametrize("name", HELD)
def test_mean_and_buffer_are_held(name: str, made: dict[str, Path]) -> None:
    _, mean, ceiling, buffer, off = HELD[name]
    status, found = inspected(made[name], "--max-bit-rate", str(ceiling), "--buffer", str(buffer))
    assert (status, found["buffer"]["missingFrames"]) == (0, 0), found["buffer"]
    assert abs(found["video"]["bitRateBps"] / mean - 1) <= off, found["video"]["bitRateBps"]
    assert sum(found["video"]["bitsBySecond"]) == pytest.approx(found["video"]["bitRateBps"] * SECONDS, rel=0.01)


def test_higher_quality_level_takes_more_bits(made: dict[str, Path]) -> None:
    sizes = [made[f"q{level}"].stat().st_size for level in LEVELS]
    assert sizes == sorted(sizes) and sizes[-1] > 2 * sizes[0], sizes


def test_inspect_reports_a_buffer_underflow(made: dict[str, Path]) -> None:
    status, found = inspected(made["q9"], "--max-bit-rate", "400000", "--buffer", "400000")
    assert status == 1 and found["buffer"]["missingFrames"] > 0 and found["buffer"]["lowestBits"] < 0


def test_gop_length_follows_the_job(made: dict[str, Path]) -> None:
    _, found = inspected(made["gop"])
    assert found["video"]["groups"] == {"count": 6, "shortestFrames": 50, "longestFrames": 50}


def test_inspect_prints_findings_and_missing_files(made: dict[str, Path]) -> None:
    done = subprocess.run([str(binary()), "inspect", str(made["cbr"])], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "groups of pictures: " in done.stdout and "    11 s " in done.stdout
    missing = subprocess.run([str(binary()), "inspect", "/nothing.mp4"], capture_output=True, text=True, timeout=60)
    assert missing.returncode == 2 and "cannot find `/nothing.mp4`" in missing.stderr and "hint:" in missing.stderr


def test_two_pass_rungs_share_their_frame_types(server: Server, made: dict[str, Path], tmp_path: Path) -> None:
    # Alone, each rung would choose its frame types by its own picture.
    source = tmp_path / "scenes.mp4"
    scenes = [("testsrc2", 1.72), ("mandelbrot", 2.36), ("smptebars", 0.84), ("rgbtestsrc", 1.4), ("testsrc", 2.6)]
    inputs = [word for name, seconds in scenes for word in ("-f", "lavfi", "-t", str(seconds), "-i", f"{name}=s=1280x720:r=25")]
    names = "".join(f"[{index}:v]format=yuv420p[s{index}];" for index in range(len(scenes)))
    joined = "".join(f"[s{index}]" for index in range(len(scenes)))
    graph = f"{names}{joined}concat=n={len(scenes)}:v=1:a=0[v]"
    command = ["ffmpeg", "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[v]"]
    subprocess.run([*command, "-c:v", "libx264", "-preset", "ultrafast", "-crf", "16", str(source)], check=True, timeout=120)

    def rung(name: str, width: int, rate: int) -> dict:
        own = {**TWO, "RateControlMode": "VBR", "Bitrate": rate, "MaxBitrate": rate * 2, "GopSizeUnits": "AUTO", "GopSize": None}
        one = h264(name, **own)
        del one["VideoDescription"]["CodecSettings"]["H264Settings"]["GopSize"]
        one["VideoDescription"] |= {"Width": width, "Height": width * 9 // 16}
        return one

    outputs = [rung("a", 1280, 1_200_000), rung("b", 640, 400_000), rung("c", 320, 150_000)]
    run(server, settings([{"FileInput": upload(server, source, "scenes.mp4")}], outputs, "s3://renditions/scenes/x"))
    kinds = []
    for name in "abc":
        file = server.download(f"scenes/x_{name}.mp4", tmp_path / f"{name}.mp4")
        command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pict_type", "-of", "csv=p=0", str(file)]
        kinds.append("".join(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()))
    assert kinds[0] == kinds[1] == kinds[2] and kinds[0].count("I") >= 5, kinds
