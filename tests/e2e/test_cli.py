"""Does the command line keep its promises: exit status, stdout for data, stderr for people, nothing left behind?"""

from __future__ import annotations

import json
import os
import shutil
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


def test_json_log_has_nothing_but_json(small: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video in here\n" * 50)
    ran = abanico("--log", "json", "transcode", text, small, "--out", tmp_path / "out")
    assert ran.returncode == 1
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert all({"timestamp", "level", "message"} <= set(line) for line in lines), lines
    assert any("%" in line["message"] for line in lines), "progress is there too"
    assert lines[-1]["level"] == "ERROR" and lines[-1]["exitStatus"] == 1 and "hint: " in lines[-1]["message"]


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


@pytest.mark.parametrize("endings", [("mp4", "mp4"), ("mp4", "mkv")], ids=["same name", "same stem"])
@pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
def test_inputs_whose_outputs_would_meet_are_refused(endings: tuple[str, str], force: list[str], small: Path, tmp_path: Path) -> None:
    names = [f"d{number}/clip.{ending}" for number, ending in enumerate(endings)]
    for name in names:
        (tmp_path / name).parent.mkdir()
        shutil.copy(small, tmp_path / name)
    refused = abanico("transcode", *names, "--out", "o", *force, folder=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert f"error: `{names[0]}` and `{names[1]}` would both write `o/clip_480p.mp4`" in refused.stderr
    assert all_files(tmp_path / "o") == []


def test_outputs_of_one_input_may_not_meet_those_of_a_longer_name(small: Path, tmp_path: Path) -> None:
    """`a` with the modifier `_b_c` and `a_b` with `_c` write the same file; `a` and `a_b` alone do not meet."""
    for name in ("a.mp4", "a_b.mp4"):
        shutil.copy(small, tmp_path / name)
    both = abanico("transcode", "a.mp4", "a_b.mp4", "--out", "o", folder=tmp_path)
    assert both.returncode == 0, both.stderr
    assert sorted(file.name for file in all_files(tmp_path / "o")) == ["a_480p.mp4", "a_b_480p.mp4"]
    (tmp_path / "job.json").write_text(json.dumps({"Settings": {"Inputs": [{}], "OutputGroups": [{
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://o/x"}},
        "Outputs": [{**RADIO, "NameModifier": "_c"}, {**RADIO, "NameModifier": "_b_c"}],
    }]}}))  # fmt: skip
    refused = abanico("transcode", "a.mp4", "a_b.mp4", "--job", "job.json", "--out", "p", folder=tmp_path)
    assert refused.returncode == 2 and "`a.mp4` and `a_b.mp4` would both write `p/a_b_c.mp3`" in refused.stderr, refused.stderr
    assert all_files(tmp_path / "p") == []


def test_no_output_replaces_an_input(small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path / "film.mp4")
    before = (tmp_path / "film.mp4").read_bytes()
    output = {"ContainerSettings": {"Container": "MP4"}, "VideoDescription": {"CodecSettings": {
        "Codec": "H_264", "H264Settings": {"RateControlMode": "QVBR", "MaxBitrate": 500_000}}}}  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps({"Settings": {"Inputs": [{}], "OutputGroups": [{
        "OutputGroupSettings": {"Type": "FILE_GROUP_SETTINGS", "FileGroupSettings": {"Destination": "s3://o/x"}},
        "Outputs": [output],
    }]}}))  # fmt: skip
    refused = abanico("transcode", "film.mp4", "--job", "job.json", "--force", folder=tmp_path)
    assert refused.returncode == 2 and "an output would replace the input" in refused.stderr, refused.stderr
    assert (tmp_path / "film.mp4").read_bytes() == before


def test_preset_does_not_take_the_input(small: Path, tmp_path: Path) -> None:
    names = ["System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps", "System-Generic_Sd_Mp4_Avc_Aac_16x9_Sdr_640x360p_30Hz_0.8Mbps_Qvbr_Vq7"]
    ran = abanico("transcode", "--preset", names[0], small, "--out", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert [file.name for file in all_files(tmp_path)] == [f"{small.stem}_{names[0].removeprefix('System-')}.mp4"]


@pytest.mark.parametrize("out", ["film.mp4", "new.mkv", "-", ""], ids=["a file", "name of a file", "stdout", "nothing"])
def test_out_takes_only_a_folder(out: str, small: Path, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_text("mine")
    refused = abanico("transcode", small, "--out", out, "--force", folder=tmp_path)
    assert refused.returncode == 2 and f"`{out}`" in refused.stderr and "hint: give a folder" in refused.stderr, refused.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["transcode", "missing.mp4"], "missing.mp4"),
        (["serve", "--listen", "example.com:80"], "`example.com` is no address"),
        (["serve", "--listen", "localhost"], "`localhost` has no port"),
        (["serve", "--config", "no-cores.toml"], "`cores`"),
        (["transcode", "here.mp4", "--preset", "No-Such-Preset"], "No-Such-Preset"),
        (["transcode", "here.mp4", "--job", "here.mp4"], "here.mp4"),
        (["transcode"], "<INPUT>"),
        (["melt"], "melt"),
        (["plan", "missing.mp4"], "missing.mp4"),
    ],
    ids=["no file", "other host", "no port", "no cores", "no preset", "job is no JSON", "no argument", "no command", "plan of nothing"],
)
def test_wrong_usage_exits_2_and_names_the_cause(words: list[str], cause: str, tmp_path: Path) -> None:
    (tmp_path / "here.mp4").write_text("x")
    (tmp_path / "no-cores.toml").write_text("[engine]\ncores = 0\n")
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


def test_every_text_names_the_users_own_files(clips: Clips, tmp_path: Path) -> None:
    """The engine's URLs for local files are no one's business, in no line and at no log level."""
    folder = tmp_path / 'my "films" ñ'
    folder.mkdir()
    garbage, silent, shaped, good = (folder / f'{name} "1".mp4' for name in ("garbage", "silent", "shaped", "good"))
    garbage.write_bytes(bytes(range(256)) * 80)
    shutil.copy(clips.file(SMALL), good)
    twin = good.with_suffix(".mov")
    shutil.copy(clips.file(SMALL), twin)
    cut = ["ffmpeg", "-v", "error", "-i", good, "-c", "copy"]
    subprocess.run([*cut, "-vn", silent], check=True, timeout=60)
    size = ["-vf", "scale=320:360", "-c:v", "libx264", "-an", "-f", "mpegts"]
    parts = [subprocess.run(["ffmpeg", "-v", "error", "-i", good, *size[2 * skip :], "-"], capture_output=True, check=True, timeout=60).stdout for skip in (1, 0)]
    shaped.write_bytes(b"".join(parts))
    runs = [["transcode", film, "--out", tmp_path / "out", "--force", *options] for film in (garbage, silent, shaped) for options in ((), ("--json",))]
    runs += [["plan", film, *options] for film in (garbage, silent, shaped) for options in ((), ("--json",))]
    runs += [["transcode", good, twin, "--out", tmp_path / "out"], ["probe", garbage]]
    for run in runs:
        command = [str(binary()), "--log", "json" if "--json" in run else "text", *map(str, run)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "RUST_LOG": "debug"})
        told = (ran.stdout if run[0] == "transcode" else "") + ran.stderr
        assert "s3://in" not in told and "s3://out" not in told, (run, told)
        assert ran.returncode == 0 or run[1].stem in told.replace("\\", ""), (run, told)
