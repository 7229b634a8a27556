"""Do the built-in ladder and templates take the sound that players take?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from harness import Server
from outputs import ROLE, upload
from told_time import heard
from transcoding import transcode

COMMENTARY_HZ, FILM_HZ = 300, 1200


def film(file: Path, *marks: str) -> Path:
    """Makes a film with a low commentary first and the high sound of the film second, with these marks."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1"]
    for pitch in (COMMENTARY_HZ, FILM_HZ):
        command += ["-f", "lavfi", "-i", f"sine={pitch}:r=48000:d=1"]
    command += ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-c:a", "aac", *marks, str(file)], check=True, timeout=60)
    return file


SECOND_IS_DEFAULT = ("-disposition:a:0", "0", "-disposition:a:1", "default")
FIRST_IS_DEFAULT = ("-disposition:a:0", "default", "-disposition:a:1", "0")
BOTH_AND_COMMENTARY = ("-disposition:a:0", "default+comment", "-disposition:a:1", "default")
CASES = {
    "mp4": ("a.mp4", SECOND_IS_DEFAULT, FILM_HZ),
    "mov": ("a.mov", SECOND_IS_DEFAULT, FILM_HZ),
    "mkv": ("a.mkv", SECOND_IS_DEFAULT, FILM_HZ),
    "mkv with a commentary": ("b.mkv", BOTH_AND_COMMENTARY, FILM_HZ),
    "first": ("b.mp4", FIRST_IS_DEFAULT, COMMENTARY_HZ),
    "ts, which marks none": ("a.ts", (), COMMENTARY_HZ),
    "ts for people who see badly": ("b.ts", ("-disposition:a:0", "visual_impaired"), FILM_HZ),
}


@pytest.mark.parametrize(("name", "marks", "pitch"), CASES.values(), ids=CASES)
def test_ladder_takes_the_default_sound(name: str, marks: tuple[str, ...], pitch: int, tmp_path: Path) -> None:
    outcome = transcode(film(tmp_path / name, *marks), tmp_path / "out")
    assert outcome.status == 0, outcome.stderr
    assert abs(heard(outcome.outputs[0]).pitch_hz(0.5)[0] - pitch) < 5


@pytest.mark.parametrize("template", ["ladder", "three-mp4"])
def test_templates_take_the_default_sound(server: Server, template: str, tmp_path: Path) -> None:
    if "masters" not in [bucket["Name"] for bucket in server.s3.list_buckets()["Buckets"]]:
        server.s3.create_bucket(Bucket="masters")
    url = upload(server, film(tmp_path / "a.mp4", *SECOND_IS_DEFAULT), f"default-{template}.mp4")
    group = {"OutputGroupSettings": {"FileGroupSettings": {"Destination": f"s3://renditions/{template}/a"}}}
    asked = {"Inputs": [{"FileInput": url}], "OutputGroups": [group]}
    made = server.mediaconvert.create_job(Role=ROLE, JobTemplate=template, Settings=asked)["Job"]
    assert server.wait_status(made["Id"])["Status"] == "COMPLETE"
    file = server.download(f"{template}/a_480p.mp4", tmp_path / "out.mp4")
    assert abs(heard(file).pitch_hz(0.5)[0] - FILM_HZ) < 5
