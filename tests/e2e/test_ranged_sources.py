"""Does a task fetch little more of a film than its own bytes, and make the same of it? Counts what the S3 endpoint sends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness import Server, binary
from outputs import settings, upload
from test_chunks import film, rung
from test_scatter import masters, source, task, wire

__all__ = ["masters"]

SECONDS = 240
RATE = 25


class Meter:
    """Stands before the S3 endpoint and counts the bytes that it sends."""

    def __init__(self, endpoint: str) -> None:
        self.sent = 0
        self.place = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
        self.door = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.door.getsockname()[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.open_doors, daemon=True).start()

    def open_doors(self) -> None:
        """Joins each client with the endpoint."""
        while True:
            try:
                client, _ = self.door.accept()
            except OSError:
                return
            server = socket.create_connection(self.place)
            for one, other, is_counted in [(client, server, False), (server, client, True)]:
                threading.Thread(target=self.pump, args=(one, other, is_counted), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket, is_counted: bool) -> None:
        """Passes bytes on until one side is done."""
        try:
            while data := one.recv(1 << 16):
                with self.lock:
                    self.sent += len(data) * is_counted
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            other.close()


@contextmanager
def metered(server: Server) -> Iterator[Meter]:
    """Counts while the block runs."""
    meter = Meter(server.exports["AWS_ENDPOINT_URL"])
    try:
        yield meter
    finally:
        meter.door.close()


def small_rung() -> dict:
    """Returns a small rung that is encoded in one pass."""
    made = rung("a", 320, QualityTuningLevel="SINGLE_PASS", RateControlMode="QVBR", QvbrSettings={"QvbrQualityLevel": 7})
    del made["VideoDescription"]["CodecSettings"]["H264Settings"]["Bitrate"]
    del made["AudioDescriptions"]
    return made


def planned(server: Server, url: str, name: str, folder: Path, *options: str) -> dict[str, dict]:
    """Plans a job with one small rung for eight encoders. Returns the assignments by their tasks' ids."""
    folder.mkdir()
    (folder / "fetched").mkdir()
    (folder / "job.json").write_text(json.dumps(wire(settings([source(url)], [small_rung()], "s3://renditions/ranged/film"))))
    words = ["plan", "--job", str(folder / "job.json"), "--folder", str(folder / "fetched"), "--encoders", "8", *options]
    return {one["task"]["id"]: one for one in json.loads(task(server, name, *words))}


def done(server: Server, name: str, assigned: dict, folder: Path, *options: str) -> tuple[dict[str, bytes], int]:
    """Does a task. Returns the files that it made, and how many bytes the endpoint sent for it."""
    folder.mkdir(parents=True)
    with metered(server) as meter:
        environment = {**os.environ, **server.exports, "AWS_ENDPOINT_URL": meter.url}
        command = [str(binary()), "__task", "--artifacts", f"s3://artifacts/{name}/", "run", "--folder", str(folder), *options]
        made = subprocess.run(command, input=json.dumps(assigned), capture_output=True, text=True, timeout=SECONDS, env=environment)
        assert made.returncode == 0, made.stderr
    own = folder / assigned["task"]["id"]
    return {file.name: file.read_bytes() for file in own.iterdir()}, meter.sent


def bytes_between(file: Path, start: Fraction, end: Fraction) -> int:
    """Returns the size of the film's packets that are shown in a run of its time."""
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,size", "-of", "json", str(file)]
    packets = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout)["packets"]
    return sum(int(packet["size"]) for packet in packets if start <= Fraction(packet["pts_time"]) < end)


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of about 100 MB: noise, over and over."""
    folder = tmp_path_factory.mktemp("ranged")
    rate = ["-b:v", "8M", "-minrate", "8M", "-maxrate", "8M", "-bufsize", "4M", "-g", "50", "-bf", "2"]
    short = folder / "short.mp4"
    picture = ["-f", "lavfi", "-i", f"testsrc2=s=640x360:r={RATE}:d=8,noise=alls=40:allf=t"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", *rate]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *coding, str(short)], check=True, timeout=120)
    again = ["-stream_loop", "12", "-i", str(short), "-c", "copy", str(folder / "film.mp4")]
    subprocess.run(["ffmpeg", "-v", "error", *again], check=True, timeout=120)
    return folder / "film.mp4"


def test_chunk_fetches_little_more_than_its_own_bytes(masters: Server, long_film: Path, tmp_path: Path) -> None:
    size = long_film.stat().st_size
    assert size > 90_000_000, size
    url = upload(masters, long_film, "ranged/long.mp4")
    there = planned(masters, url, "ranged", tmp_path / "there")
    stored = planned(masters, url, "stored", tmp_path / "stored", "--store-inputs")
    assert [one["makes"] for one in there.values()] == [one["makes"] for one in stored.values()], "the key is of the bytes"
    chunks = sorted(name for name in there if name.startswith("chunk-"))
    assert len(chunks) >= 10
    middle = len(chunks) // 2
    for name in (chunks[0], chunks[middle - 1], chunks[middle], chunks[-1]):
        [branch] = there[name]["task"]["kind"]["encode_video"]["branches"]
        start = Fraction(branch["run"]["first"], RATE)
        own = bytes_between(long_film, start, start + Fraction(branch["frames"], RATE))
        made, sent = done(masters, "ranged", there[name], tmp_path / "work" / name)
        print(f"{name}: {own} own bytes of {size}, {sent} were sent")
        assert 0 < own < sent <= own + size / 20, (name, own, sent, size)
        whole, sent = done(masters, "stored", stored[name], tmp_path / "whole" / name)
        assert made == whole and sent > size
    name = f"joint-{middle:04}"
    looked, sent = done(masters, "ranged", there[name], tmp_path / "work" / name)
    assert json.loads(looked["joint.json"])["broken"] == []
    print(f"{name}: {sent} bytes were sent")
    assert sent <= size / 10, (sent, size)


def test_film_without_ranges_is_fetched_once_a_machine(masters: Server, tmp_path: Path) -> None:
    mkv = film(tmp_path / "film.mkv", width=448, seconds=60)
    size = mkv.stat().st_size
    there = planned(masters, upload(masters, mkv, "ranged/film.mkv"), "whole", tmp_path / "there")
    sent = []
    for name in ("chunk-0001", "chunk-0002"):
        options = ["--sources", str(tmp_path / "sources")]
        made, bytes_sent = done(masters, "whole", there[name], tmp_path / "work" / name, *options)
        assert "video-0.mp4" in made
        sent.append(bytes_sent)
    assert sent[0] > size and sent[1] < size / 20, (size, sent)


def test_replaced_input_is_noticed(masters: Server, tmp_path: Path) -> None:
    for number, name in enumerate(("film.mp4", "film.mkv")):
        place = tmp_path / str(number)
        place.mkdir()
        url = upload(masters, film(place / name, width=320), f"ranged/replaced-{name}")
        there = planned(masters, url, "replaced", place / "there")
        upload(masters, film(place / f"other-{name}", width=352), f"ranged/replaced-{name}")
        (place / "work").mkdir()
        command = [str(binary()), "__task", "--artifacts", "s3://artifacts/replaced/", "run", "--folder", str(place / "work")]
        refused = subprocess.run(
            command, input=json.dumps(there["chunk-0001"]), capture_output=True, text=True, timeout=SECONDS,
            env={**os.environ, **masters.exports},
        )  # fmt: skip
        assert refused.returncode == 1, refused.stdout
        assert f"`{url}` was replaced" in refused.stderr and "create the job again" in refused.stderr
