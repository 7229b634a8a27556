"""Does the command line keep its promises: exit status, stdout for data, stderr for people, nothing left behind?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import binary
from media_facts import facts
from transcoding import all_files, transcode

RADIO = {
    "NameModifier": "_radio",
    "ContainerSettings": {"Container": "RAW"},
    "AudioDescriptions": [{"CodecSettings": {"Codec": "MP3", "Mp3Settings": {"Bitrate": 128_000, "RateControlMode": "CBR"}}}],
}
SMALL = Clip(width=640, height=360, frames=50)


def abanico(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the program and waits until it exits."""
    command = [str(binary()), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, stdin=subprocess.DEVNULL)


@pytest.fixture
def small(clips: Clips) -> Path:
    return clips.file(SMALL)


def test_transcode_prints_only_outputs_on_stdout(small: Path, tmp_path: Path) -> None:
    ran = abanico("transcode", small, "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    assert line.split()[:2] == [str(tmp_path / f"{small.stem}_480p.mp4"), "640x360"]
    assert "%" in ran.stderr
    assert "\r" not in ran.stderr and "\x1b" not in ran.stderr, "without a terminal, progress must be plain lines"


def test_audio_output_is_listed_without_a_size(small: Path, tmp_path: Path) -> None:
    job = tmp_path / "radio.json"
    group = {"OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://o/x"}}}
    settings = {"Inputs": [{"FileInput": "s3://i/x"}], "OutputGroups": [group | {"Outputs": [RADIO]}]}
    job.write_text(json.dumps({"Role": "arn:aws:iam::000000000000:role/r", "Settings": settings}))
    ran = abanico("transcode", small, "--job", job, "--out", tmp_path / "out")
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    assert line.split()[:2] == [str(tmp_path / "out" / f"{small.stem}_radio.mp3"), "audio"] and "0x0" not in line
    planned = abanico("plan", small, "--job", job)
    assert planned.returncode == 0 and "mp3 2 ch" in planned.stdout and "-f mp3" in planned.stdout


def test_outputs_default_to_the_current_folder(small: Path, tmp_path: Path) -> None:
    ran = abanico("transcode", small, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert [file.name for file in all_files(tmp_path)] == [f"{small.stem}_480p.mp4"]


def test_json_lines_parse_and_match_the_output(small: Path, tmp_path: Path) -> None:
    ran = abanico("transcode", small, "--out", tmp_path, "--json")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {line["type"] for line in lines} == {"progress", "output", "done"}
    percents = [line["percent"] for line in lines if line["type"] == "progress"]
    assert percents == sorted(percents) and percents[-1] == 100
    (output,) = (line for line in lines if line["type"] == "output")
    found = facts(Path(output["path"]))
    assert (output["width"], output["height"]) == found.size
    assert output["size_bytes"] == Path(output["path"]).stat().st_size
    assert lines[-1]["type"] == "done" and lines[-1]["ffmpeg_cpu_ms"] > 0 and lines[-1]["own_cpu_ms"] > 0


def test_bad_input_does_not_stop_the_others(small: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video in here\n" * 50)
    ran = abanico("transcode", text, small, "--out", tmp_path / "out")
    assert ran.returncode == 1
    assert [file.name for file in all_files(tmp_path / "out")] == [f"{small.stem}_480p.mp4"]
    assert "error: 1 of 2 inputs" in ran.stderr and "hint: " in ran.stderr
    assert "error 1010: Unable to open input file" in ran.stderr


def test_existing_output_is_replaced_only_with_force(small: Path, tmp_path: Path) -> None:
    mine = tmp_path / f"{small.stem}_480p.mp4"
    mine.write_text("mine")
    refused = abanico("transcode", small, "--out", tmp_path)
    assert refused.returncode == 2
    assert f"error: `{mine}` already exists" in refused.stderr and "--force" in refused.stderr
    assert mine.read_text() == "mine" and all_files(tmp_path) == [mine]
    assert abanico("transcode", small, "--out", tmp_path, "--force").returncode == 0
    assert facts(mine).frames == SMALL.frames


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["transcode", "missing.mp4"], "missing.mp4"),
        (["transcode", "here.mp4", "--preset", "No-Such-Preset"], "No-Such-Preset"),
        (["transcode", "here.mp4", "--job", "here.mp4"], "here.mp4"),
        (["transcode"], "<INPUT>"),
        (["melt"], "melt"),
        (["plan", "missing.mp4"], "missing.mp4"),
    ],
    ids=["no file", "no preset", "job is no JSON", "no argument", "no command", "plan of nothing"],
)
def test_wrong_usage_exits_2_and_names_the_cause(words: list[str], cause: str, tmp_path: Path) -> None:
    (tmp_path / "here.mp4").write_text("x")
    ran = abanico(*words, folder=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert "error: " in ran.stderr and cause in ran.stderr
    assert "panicked" not in ran.stderr


def test_missing_ffmpeg_exits_3_with_a_remedy(small: Path, tmp_path: Path) -> None:
    command = [str(binary()), "transcode", str(small), "--out", str(tmp_path / "out")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": str(tmp_path)})
    assert ran.returncode == 3, ran.stderr
    assert "error: " in ran.stderr and "hint: " in ran.stderr and "ffmpeg" in ran.stderr


def test_probe_prints_the_facts_as_json(small: Path) -> None:
    ran = abanico("probe", small)
    assert ran.returncode == 0, ran.stderr
    video = json.loads(ran.stdout)["video"]
    assert video["size"] == {"width": 640, "height": 360}
    assert (video["frames"], video["frame_rate"]) == (SMALL.frames, "25/1")


def test_probe_explains_why_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video in here\n" * 50)
    ran = abanico("probe", tmp_path / "notes.mp4")
    assert ran.returncode == 1 and ran.stdout == ""
    assert "error: " in ran.stderr and "notes.mp4" in ran.stderr


def test_plan_prints_what_transcode_makes(small: Path, tmp_path: Path) -> None:
    ran = abanico("plan", small, "--json", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    planned = json.loads(ran.stdout)["outputs"]
    made = transcode(small, tmp_path / "out").outputs
    assert [output["url"].rpartition("/")[2] for output in planned] == [file.name for file in made]
    assert "ffmpeg " in abanico("plan", small).stdout
    assert all_files(tmp_path) == made, "planning makes no file"


def test_doctor_names_each_check(tmp_path: Path) -> None:
    ran = abanico("doctor", folder=tmp_path)
    assert ran.returncode in (0, 3), ran.stderr
    for check in ("ffmpeg", "encoder", "disk", "port", "clock", "sandbox"):
        assert any(check in line for line in ran.stdout.splitlines()), check
    assert all_files(tmp_path) == []


def test_doctor_explains_how_to_get_ffmpeg(tmp_path: Path) -> None:
    ran = subprocess.run(
        [str(binary()), "doctor"], capture_output=True, text=True, timeout=60, env={"PATH": str(tmp_path)}, cwd=tmp_path
    )
    assert ran.returncode == 3
    assert "apt-get install" in ran.stdout + ran.stderr
