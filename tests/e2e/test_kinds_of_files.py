"""Is every kind of file that people try either transcoded, or refused with what it is and what to do?"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from harness import binary
from media_facts import facts

PICTURES = "testsrc2=s=160x120:r=10:d=2"


def ffmpeg(*words: str | Path) -> None:
    """Runs ffmpeg."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, words)], check=True, timeout=60)


def transcode(file: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Transcodes a file into `folder`/out."""
    command = [str(binary()), "transcode", str(file), "--out", str(folder / "out"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["moves.gif", "moves.apng", "named.png"])
def test_animated_image_becomes_a_film(name: str, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", PICTURES, *([] if name.endswith("gif") else ["-f", "apng"]), tmp_path / name)
    done = transcode(tmp_path / name, tmp_path)
    assert done.returncode == 0, done.stderr
    [made] = (tmp_path / "out").glob("*.mp4")
    assert (facts(made).frames, facts(made).size) == (20, (160, 120))


def test_animation_with_transparent_parts_and_uneven_times_keeps_its_length(tmp_path: Path) -> None:
    holes = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*gt(X,80)',setpts='(N+floor(N/5))/10/TB'"
    ffmpeg("-f", "lavfi", "-i", PICTURES, "-vf", holes, "-vsync", "vfr", tmp_path / "holes.gif")
    done = transcode(tmp_path / "holes.gif", tmp_path)
    assert done.returncode == 0, done.stderr
    [made] = (tmp_path / "out").glob("*.mp4")
    assert 2200 <= facts(made).duration_ms <= 2400, facts(made)


def stream(folder: Path, codec: str, name: str) -> Path:
    """Makes a stream without a container."""
    ffmpeg("-f", "lavfi", "-i", PICTURES, "-c:v", codec, "-pix_fmt", "yuv420p", folder / name)
    return folder / name


def written(folder: Path, name: str, content: bytes) -> Path:
    """Writes a file."""
    (folder / name).write_bytes(content)
    return folder / name


def still(folder: Path, name: str) -> Path:
    """Makes one picture."""
    ffmpeg("-f", "lavfi", "-i", PICTURES, "-frames:v", "1", folder / name)
    return folder / name


def sound(folder: Path, name: str) -> Path:
    """Makes sound with a picture as its cover."""
    cover = still(folder, "cover.png")
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", "-i", cover, "-map", "0", "-map", "1", "-disposition:v", "attached_pic", "-c:v", "copy", folder / name)
    return folder / name


def encrypted(folder: Path, name: str) -> Path:
    """Makes a film with Common Encryption."""
    keys = ["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0" * 32, "-encryption_kid", "1" * 32]
    ffmpeg("-f", "lavfi", "-i", PICTURES, "-c:v", "libx264", "-pix_fmt", "yuv420p", *keys, folder / name)
    return folder / name


REFUSED = {
    "raw H.264": (lambda folder: stream(folder, "libx264", "a.h264"), r"raw H\.264 or H\.265 stream.*put it into a container"),
    "raw H.265": (lambda folder: stream(folder, "libx265", "a.hevc"), r"raw H\.264 or H\.265 stream.*put it into a container"),
    "WebP": (lambda folder: written(folder, "a.webp", b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\0"), r"WebP image; save"),
    "still image": (lambda folder: still(folder, "a.jpg"), r"still image"),
    "playlist": (lambda folder: written(folder, "a.m3u8", b"#EXTM3U\n#EXTINF:4,\nfile:///etc/passwd\n"), r"playlist.*give the film itself"),
    "archive": (lambda folder: written(folder, "a.mp4", b"PK\x03\x04" + bytes(500)), r"archive; unpack it"),
    "sound with a cover": (lambda folder: sound(folder, "a.mp3"), r"has no video; .*outputs have sound alone"),
    "encrypted": (lambda folder: encrypted(folder, "a.mp4"), r"encrypted; upload it without encryption"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_file_is_refused_with_what_to_do(kind: str, tmp_path: Path) -> None:
    make, told = REFUSED[kind]
    done = transcode(make(tmp_path), tmp_path)
    assert done.returncode == 1, done.stderr
    assert re.search(told, done.stderr), done.stderr
    assert list((tmp_path / "out").glob("*")) == []


def test_folder_pipe_and_device_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "films").mkdir()
    for file, told in ((tmp_path / "films", "a folder"), (tmp_path / "pipe.mp4", "a pipe"), (Path("/dev/zero"), "a device")):
        for command in (["transcode", str(file), "--out", str(tmp_path / "out")], ["probe", str(file)], ["plan", str(file)]):
            done = subprocess.run([str(binary()), *command], capture_output=True, text=True, timeout=20)
            assert done.returncode == 2, (command, done.stderr)
            assert f"`{file}` is {told}, not a file" in done.stderr and "hint: " in done.stderr, done.stderr


def test_link_names_the_outputs_and_messages_name_the_users_file(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    ffmpeg("-f", "lavfi", "-i", PICTURES, "-c:v", "libx264", "-pix_fmt", "yuv420p", tmp_path / "store" / "0815.mp4")
    (tmp_path / "holiday.mp4").symlink_to(tmp_path / "store" / "0815.mp4")
    done = transcode(tmp_path / "holiday.mp4", tmp_path)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "out") == ["holiday_480p.mp4"]
    assert "s3://" not in done.stderr + done.stdout
