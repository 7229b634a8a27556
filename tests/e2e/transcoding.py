"""Runs `abanico transcode` as a client does and checks the files that it makes.

The check probes and decodes every output anew and never relies on abanico's own report.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from harness import binary
from media_facts import Facts, decode_complaints, facts, is_fast_start

TRANSCODE_SECONDS = 900
THREE_PRESETS = {
    "System-Generic_Hd_Mp4_Avc_Aac_16x9_1920x1080p_24Hz_6Mbps": (1920, 1080),
    "System-Generic_Hd_Mp4_Avc_Aac_16x9_1280x720p_24Hz_4.5Mbps": (1280, 720),
    "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps": (640, 480),
}
START_TOLERANCE_MS = 5


@dataclass(frozen=True)
class Expected:
    """The expected renditions of a file. `sizes` maps name endings to sizes; the other members apply to all renditions."""

    sizes: dict[str, tuple[int, int]]
    rate: Fraction
    frames: int
    has_sound: bool


@dataclass(frozen=True)
class Refusal:
    """An expected failure: its code, and words that its message must contain."""

    code: int
    words: str


@dataclass(frozen=True)
class Outcome:
    """The result of one call of `abanico transcode --json`."""

    status: int
    outputs: list[Path]
    failure: dict | None
    done: dict | None
    stderr: str
    seconds: float


def transcode(file: Path, out: Path, *options: str) -> Outcome:
    """Transcodes `file` into the folder `out`."""
    command = [str(binary()), "transcode", str(file), "--out", str(out), "--json", *options]
    start = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, timeout=TRANSCODE_SECONDS)
    seconds = time.monotonic() - start
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    of_type = {kind: [line for line in lines if line["type"] == kind] for kind in ("output", "failure", "done")}
    return Outcome(
        status=ran.returncode,
        outputs=[Path(line["path"]) for line in of_type["output"]],
        failure=next(iter(of_type["failure"]), None),
        done=next(iter(of_type["done"]), None),
        stderr=ran.stderr,
        seconds=seconds,
    )


def preset_options() -> list[str]:
    """Returns the options for the job with three MP4 outputs."""
    return [word for name in THREE_PRESETS for word in ("--preset", name)]


def check_ladder(outcome: Outcome, source: Path, out: Path, expected: Expected) -> list[Path]:
    """Fails unless the output folder contains exactly the expected renditions of the default ladder. Returns them."""
    assert outcome.status == 0, outcome.stderr
    wanted = [out / f"{source.stem}_{ending}.mp4" for ending in expected.sizes]
    assert outcome.outputs == wanted, outcome.outputs
    assert all_files(out) == sorted(wanted), f"the output folder contains other files: {all_files(out)}"
    for file, size in zip(wanted, expected.sizes.values(), strict=True):
        check_rendition(file, size, expected)
    return wanted


def check_three_presets(outcome: Outcome, expected: Expected) -> None:
    """Fails unless the three-preset job made the expected three renditions."""
    assert outcome.status == 0, outcome.stderr
    for file, size in zip(outcome.outputs, THREE_PRESETS.values(), strict=True):
        check_rendition(file, size, expected)


def check_refusal(outcome: Outcome, out: Path, refusal: Refusal) -> None:
    """Fails unless the job failed for this reason and published nothing."""
    assert outcome.status == 1, outcome.status
    assert outcome.failure["code"] == refusal.code, outcome.failure
    assert refusal.words in outcome.failure["message"], outcome.failure
    assert outcome.outputs == [], outcome.outputs
    assert all_files(out) == [], f"a failed job published {all_files(out)}"


def check_rendition(file: Path, size: tuple[int, int], expected: Expected) -> Facts:
    """Fails unless every fact of `file` is as expected and it decodes without errors. Returns the facts."""
    found = facts(file)
    assert found.codec == "h264", file.name
    assert found.size == size, file.name
    assert (found.sample_aspect, found.rotation) == (1, 0), f"{file.name} is not upright with square pixels: {found}"
    assert found.frames == expected.frames, file.name
    # A file with a single frame has no frame rate.
    assert found.rate == expected.rate or found.frames == 1, file.name
    assert abs(found.duration_ms - float(expected.frames / expected.rate) * 1000) < 1, file.name
    assert is_fast_start(file), f"{file.name} has its index after its media data"
    assert (found.sound is not None) == expected.has_sound, file.name
    if found.sound:
        assert found.sound.codec == "aac", file.name
        offset_ms = found.sound.start_ms - found.start_ms
        assert abs(offset_ms) <= START_TOLERANCE_MS, f"{file.name}: audio starts {offset_ms} ms after the video"
    complaints = decode_complaints(file)
    assert not complaints, f"{file.name} does not decode: {complaints}"
    return found


def all_files(folder: Path) -> list[Path]:
    """Returns every file below `folder`, hidden ones too."""
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
