"""Do uploads, a job and health checks go on while thousands of connections without credentials hold on to the server?"""

from __future__ import annotations

import os
import resource
import selectors
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from clips import Clip, Clips
from harness import Server, eventually
from plain_http import connect, send

STRANGERS = int(os.environ.get("ABANICO_STRANGERS", "2000"))
SECONDS = 20
RESIDENT_MIB = 200
FORM = "POST /uploads HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b\r\n"
FIELD = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n'
# What a connection sends first, and then again and again.
KINDS: dict[str, tuple[bytes, bytes]] = {
    "says nothing": (b"", b""),
    "slow head": (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X-A: b\r\n"),
    "long head": (b"GET / HTTP/1.1\r\nHost: h\r\nX-A: " + b"a" * 50_000, b"a" * 100),
    "slow form": (f"{FORM}Content-Length: 9000000\r\n\r\n".encode() + FIELD, b"a"),
    "huge form": (f"{FORM}Content-Length: 9000000000\r\n\r\n".encode() + FIELD + b"a" * 60_000, b"a" * 100),
    "endless form": (f"{FORM}Transfer-Encoding: chunked\r\n\r\n".encode(), b"400\r\n" + b"a" * 1024 + b"\r\n"),
    "slow login": (b"POST /_abanico/login HTTP/1.1\r\nHost: h\r\nContent-Length: 4000\r\n\r\n{", b" "),
    "endless login": (b"POST /_abanico/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "unsigned upload": (b"PUT /uploads/k HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n", b"a" * 1000),
    "unsigned API call": (b"POST /2017-08-29/jobs HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n", b"a" * 1000),
}  # fmt: skip


class Strangers(threading.Thread):
    """Keeps a number of connections open, opens new ones for those that are closed, and sends a little on each."""

    def __init__(self, server: Server, count: int) -> None:
        super().__init__(daemon=True)
        parts = urlsplit(server.endpoint)
        self._address = (parts.hostname, parts.port)
        self._count = count
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, tuple[bytes, bytes]] = {}
        self._over = threading.Event()
        self.opened = 0
        self.closed: Counter[str] = Counter()

    def run(self) -> None:
        kinds = list(KINDS.items())
        while not self._over.is_set():
            while len(self._open) < self._count and not self._over.is_set():
                name, bytes_of = kinds[self.opened % len(kinds)]
                if not self._connect(name, bytes_of) or self.opened % 50 == 0:
                    break
            for connection in list(self._open):
                if self._over.is_set():
                    break
                self._send(connection, self._open[connection][1])
            for key, _ in self._selector.select(0.05):
                self._read(key.fileobj)
        for connection in list(self._open):
            self._close(connection)

    def end(self) -> None:
        self._over.set()
        self.join(30)

    def _connect(self, name: str, bytes_of: tuple[bytes, bytes]) -> bool:
        connection = socket.socket()
        connection.settimeout(0.2)
        self.opened += 1
        try:
            connection.connect(self._address)
        except OSError:
            connection.close()
            return False
        connection.setblocking(False)
        self._open[connection] = bytes_of
        self._selector.register(connection, selectors.EVENT_READ, name)
        self._send(connection, bytes_of[0])
        return True

    def _send(self, connection: socket.socket, content: bytes) -> None:
        try:
            connection.send(content)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _read(self, connection: socket.socket) -> None:
        try:
            if connection.recv(65536):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        if self._open.pop(connection, None) is not None:
            self.closed[self._selector.unregister(connection).data] += 1
            connection.close()


@pytest.fixture
def many_files() -> None:
    """Enough file descriptors in this process for both ends of the attack."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * STRANGERS:
        pytest.skip(f"the limit on open files is {hard}: raise it (`ulimit -n`)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * STRANGERS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory_mib(server: Server, name: str) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) // 1024


@pytest.mark.usefixtures("many_files")
def test_strangers_keep_nobody_out(fresh_server: Server, clips: Clips, tmp_path: Path) -> None:
    fresh_server.environment = {"RUST_LOG": "abanico=info,warn"}
    server = fresh_server.start()
    film = clips.file(Clip(width=320, height=180, frames=50)).read_bytes()
    strangers = Strangers(server, STRANGERS)
    strangers.start()
    eventually(lambda: strangers.opened >= STRANGERS, 30, f"{STRANGERS} connections")
    end, slowest, checks, uploads, most = time.monotonic() + SECONDS, 0.0, 0, 0, 0
    content = os.urandom(2 << 20)
    server.s3.put_object(Bucket="uploads", Key="film.mp4", Body=film)
    while time.monotonic() < end or uploads < 5:
        begin = time.monotonic()
        answer = send(server, "GET", "/healthz")
        slowest = max(slowest, time.monotonic() - begin)
        assert answer.status == 200 and answer.body == b"ok\n"
        server.client("s3").put_object(Bucket="renditions", Key=f"kept/{uploads}", Body=content)
        checks, uploads, most = checks + 1, uploads + 1, max(most, memory_mib(server, "VmRSS"))
    job = server.wait_job("film.mp4", seconds=120)
    strangers.end()
    told = f"{strangers.opened} strangers, {checks} checks (slowest {slowest:.2f} s), {uploads} uploads, {most} MiB at most"
    print(told, dict(strangers.closed))
    assert job["Status"] == "COMPLETE", job
    assert most < RESIDENT_MIB and memory_mib(server, "VmHWM") < RESIDENT_MIB, told
    assert len(server.keys("renditions", "kept/")) == uploads
    assert server.stop() == 0


def seconds_until_closed(server: Server, first: bytes, again: bytes, most: float) -> float:
    """How long a connection lives that sends something every half second."""
    begin = time.monotonic()
    with connect(server) as connection:
        connection.sendall(first)
        connection.settimeout(0.5)
        while time.monotonic() - begin < most:
            try:
                if connection.recv(65536) == b"":
                    return time.monotonic() - begin
            except TimeoutError:
                pass
            except OSError:
                return time.monotonic() - begin
            try:
                connection.sendall(again)
            except OSError:
                return time.monotonic() - begin
    return most


def test_no_stranger_stays_for_long(server: Server) -> None:
    lived: dict[str, float] = {}

    def live(name: str) -> None:
        lived[name] = seconds_until_closed(server, *KINDS[name], most=40)

    threads = [threading.Thread(target=live, args=(name,)) for name in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    print({name: round(seconds, 1) for name, seconds in lived.items()})
    assert len(lived) == len(KINDS) and all(seconds < 20 for seconds in lived.values()), lived


def test_slow_but_honest_upload_arrives(server: Server) -> None:
    """One that takes longer than a stranger may."""
    url = server.s3.generate_presigned_url("put_object", Params={"Bucket": "renditions", "Key": "slow"})
    with connect(server) as connection:
        connection.sendall(f"PUT {url.removeprefix(server.endpoint)} HTTP/1.1\r\nHost: {server.endpoint.removeprefix('http://')}\r\nContent-Length: 12\r\n\r\n".encode())
        for number in range(12):
            time.sleep(1.1)
            connection.sendall(b"%d" % (number % 10))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.s3.get_object(Bucket="renditions", Key="slow")["Body"].read() == b"012345678901"


def test_few_descriptors_fail_neither_job_nor_health_check(fresh_server: Server, clips: Clips) -> None:
    """Under a hard limit of 128 open files, strangers get a quarter of them, and jobs keep theirs."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        server = fresh_server
        server.config = "max_connections = 64\n"
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    soft = Path(f"/proc/{server.process.pid}/limits").read_text().split("Max open files")[1].split()[0]
    assert int(soft) == limits[1] or limits[1] == resource.RLIM_INFINITY, "the server raises its limit to what it may have"
    strangers = Strangers(server, 150)
    strangers.start()
    eventually(lambda: strangers.opened >= 150, 30, "150 connections")
    connections = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
    server.s3.put_object(Bucket="uploads", Key="few.mp4", Body=clips.file(Clip(width=320, height=180, frames=25)).read_bytes())
    assert send(server, "GET", "/healthz").status == 200
    job = server.wait_job("few.mp4")
    strangers.end()
    assert job["Status"] == "COMPLETE", job
    assert connections < 64 + 60, f"{connections} descriptors"
