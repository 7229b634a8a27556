"""What is left of a command that a signal ends? Signals are real, and so are the processes that must be gone."""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from clips import Clip, Clips
from harness import ACCESS_KEY_ID, SECRET_ACCESS_KEY, binary, eventually, is_ffmpeg, processes_of
from media_facts import facts

COMMANDS = ("demo", "transcode")
LONG = Clip(width=1920, height=1080, frames=250)
SHORT = Clip(width=640, height=360, frames=25)
#: What each signal is called, and the exit status that shells give it.
SIGNALS = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143), signal.SIGHUP: ("hung up", 129)}
#: Beginnings of the names of work folders.
WORK = (".work-", ".abanico-")


class Run:
    """A command that works in a folder, in a session of its own."""

    def __init__(self, command: str, out: Path, video: Path | None, before: tuple[str, ...] = ()) -> None:
        words = [*before, str(binary()), command, *([str(video)] if video else []), "--out", str(out)]
        self.out = out
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip

    def others(self) -> list[int]:
        """The processes of the session without the command itself."""
        return [pid for pid in processes_of([self.process.pid]) if pid != self.process.pid]

    def encoders(self) -> list[int]:
        """Those of them that are ffmpeg."""
        return [pid for pid in self.others() if is_ffmpeg(pid)]

    def wait_for_work(self, file: str = "video-*") -> None:
        """Waits until ffmpeg writes a file into the work folder."""
        eventually(lambda: self.encoders() and self._has(file), 120, "ffmpeg writes a file")

    def _has(self, file: str) -> bool:
        try:
            return any(found.stat().st_size > 0 for found in self.out.rglob(file))
        except FileNotFoundError:
            return False

    def end(self, number: signal.Signals) -> tuple[str, str]:
        """Sends a signal and returns what the command has printed at its end."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=120)

    def whole(self) -> tuple[str, str]:
        """Waits for the end by itself."""
        return self.process.communicate(timeout=300)

    def clean_up(self) -> None:
        """Ends whatever is left."""
        for pid in processes_of([self.process.pid]):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=60)


Start = Callable[..., Run]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, and ends what a failed test leaves of them."""
    runs: list[Run] = []

    def begin(*arguments: object, **more: object) -> Run:
        runs.append(Run(*arguments, **more))
        return runs[-1]

    yield begin
    for run in runs:
        run.clean_up()


def works(out: Path) -> list[str]:
    """The names of work folders and unfinished files in a folder."""
    return sorted(name for name in os.listdir(out) if name.startswith(WORK))


def renditions(command: str, video: Path) -> list[str]:
    """What a folder has after a command that was not disturbed."""
    return sorted([*([".kept-encodes"] if command == "demo" else []), f"{video.stem}_480p.mp4"])


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("command", COMMANDS)
def test_signal_cleans_up(command: str, number: signal.Signals, clips: Clips, tmp_path: Path, start: Start) -> None:
    run = start(command, tmp_path / "out", clips.file(LONG))
    run.wait_for_work()
    stdout, stderr = run.end(number)
    word, status = SIGNALS[number]
    assert run.process.returncode == status, stderr
    encodes = os.listdir(run.out / ".kept-encodes") if command == "demo" else []
    assert not [name for name in encodes if name.endswith(".partial")]
    finished = f"kept finished ones in {run.out}/" if encodes else "none was finished"
    [last] = [line for line in stderr.splitlines() if line.startswith(word)]
    assert last == f"{word}: removed unfinished files, {finished if command == 'demo' else 'no output was finished'}"
    assert stderr.endswith(last + "\n") and stdout == "" and "error:" not in stderr and "hint:" not in stderr
    assert run.others() == [], "no ffmpeg is left"
    assert works(run.out) == []
    assert [name for name in os.listdir(run.out) if name != ".kept-encodes"] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_next_run_removes_what_a_killed_one_left(command: str, clips: Clips, tmp_path: Path, start: Start) -> None:
    out, short = tmp_path / "out", clips.file(SHORT)
    killed = start(command, out, clips.file(LONG))
    killed.wait_for_work()
    killed.process.kill()
    killed.process.communicate(timeout=60)
    eventually(lambda: not killed.others(), 60, "no ffmpeg outlives the command")
    assert len(works(out)) == 1
    run = start(command, out, short)
    _, stderr = run.whole()
    assert run.process.returncode == 0, stderr
    assert sorted(os.listdir(out)) == renditions(command, short)


@pytest.mark.parametrize("command", COMMANDS)
def test_runs_side_by_side_leave_each_other_alone(command: str, clips: Clips, tmp_path: Path, start: Start) -> None:
    out, short, long = tmp_path / "out", clips.file(SHORT), clips.file(Clip(width=640, height=360, frames=500))
    first = start(command, out, long)
    first.wait_for_work()
    # The first one stands still while the second one runs from its beginning to its end.
    session = processes_of([first.process.pid])
    for pid in session:
        os.kill(pid, signal.SIGSTOP)
    [before] = works(out)
    second = start(command, out, short)
    _, stderr = second.whole()
    assert second.process.returncode == 0, stderr
    assert works(out) == [before]
    for pid in session:
        os.kill(pid, signal.SIGCONT)
    _, stderr = first.whole()
    assert first.process.returncode == 0, stderr
    assert sorted(os.listdir(out)) == sorted({*renditions(command, short), *renditions(command, long)})
    assert facts(out / f"{long.stem}_480p.mp4").frames == 500


def test_interrupted_demo_leaves_no_half_clip(tmp_path: Path, start: Start) -> None:
    run = start("demo", tmp_path / "out", None)
    eventually(run.encoders, 60, "ffmpeg makes the clip")
    for pid in run.encoders():
        os.kill(pid, signal.SIGSTOP)
    _, stderr = run.end(signal.SIGINT)
    assert run.process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "interrupted: removed unfinished files, none was finished"
    # A killed process that was stopped takes a moment to be gone.
    eventually(lambda: run.others() == [], 5, "no ffmpeg is left")
    assert os.listdir(run.out) == []
    assert len(stderr.splitlines()[-1]) <= 80


def test_interruption_tells_what_is_kept(clips: Clips, tmp_path: Path, start: Start) -> None:
    out, short, long = tmp_path / "out", clips.file(SHORT), clips.file(LONG)
    out.mkdir()
    words = [str(binary()), "transcode", str(short), str(long), "--out", str(out)]
    run = start("transcode", out, short)
    assert run.whole()[1] and run.process.returncode == 0
    process = subprocess.Popen([*words, "--force"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    run.process = process
    assert process.stdout.readline().startswith(str(out)), "the first output is finished"
    run.wait_for_work()
    _, stderr = run.end(signal.SIGTERM)
    assert process.returncode == 143
    assert stderr.splitlines()[-1] == f"terminated: removed unfinished files, kept 1 finished output in {out}/"
    assert os.listdir(out) == [f"{short.stem}_480p.mp4"]
    demo = start("demo", out, long)
    demo.wait_for_work()
    _, stderr = demo.end(signal.SIGINT)
    assert stderr.splitlines()[-1] == f"interrupted: removed unfinished files, kept finished ones in {out}/"


class Slow(http.server.BaseHTTPRequestHandler):
    """S3 as far as uploads need it: it makes the first object visible and keeps the sender of the second one waiting."""

    protocol_version = "HTTP/1.1"
    server: SlowS3

    def do_POST(self) -> None:  # noqa: N802
        """Begins or completes an upload."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        if query.startswith("uploads"):
            self._answer(200, "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
        else:
            self.server.completed.append(path)
            if len(self.server.completed) > 1:
                self.server.let_go.wait(600)
            self.server.objects.add(path)
            self._answer(200, '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>')

    def do_PUT(self) -> None:  # noqa: N802
        """Takes a part."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_GET(self) -> None:  # noqa: N802
        """Says that nothing is there to be replaced."""
        self._answer(404)

    def do_HEAD(self) -> None:  # noqa: N802
        """Says whether an object is there."""
        self._answer(200 if self.path in self.server.objects else 404)

    def do_DELETE(self) -> None:  # noqa: N802
        """Removes an object, or an upload that was given up."""
        self.server.objects.discard(self.path)
        self._answer(204)

    def _answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        """Answers until the client is gone."""
        with contextlib.suppress(ConnectionError):
            super().handle()


class SlowS3(http.server.ThreadingHTTPServer):
    """The server of that S3."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Slow)
        self.completed: list[str] = []
        self.objects: set[str] = set()
        self.let_go = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_service_that_does_not_answer_cannot_hold_up_the_end(clips: Clips, tmp_path: Path) -> None:
    s3 = SlowS3()
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY, "AWS_REGION": "us-east-1"}
    places = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3.server_port}", "TMPDIR": str(tmp_path)}
    video = clips.file(Clip(width=1280, height=720, frames=25))
    process = subprocess.Popen(
        [str(binary()), "transcode", str(video), "--out", "s3://films/a"], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **keys, **places},
    )  # fmt: skip
    try:
        eventually(lambda: len(s3.completed) > 1 and s3.objects, 120, "the second object is to become visible")
        assert len(s3.objects) == 1
        assert works(tmp_path), "with outputs in S3, the work folder is among the temporary files"
        process.send_signal(signal.SIGINT)
        # The service would keep it waiting for minutes.
        stdout, stderr = process.communicate(timeout=100)
        assert (process.returncode, stdout) == (130, "")
        told = "interrupted: removed unfinished files, no output was finished; others may be left in s3://films/a/"
        assert stderr.splitlines()[-1] == told
        assert works(tmp_path) == []
    finally:
        s3.let_go.set()
        process.kill()
        process.communicate(timeout=60)
        s3.shutdown()


def test_nohup_is_respected(clips: Clips, tmp_path: Path, start: Start) -> None:
    run = start("transcode", tmp_path / "out", clips.file(LONG), before=("nohup",))
    run.wait_for_work()
    run.process.send_signal(signal.SIGHUP)
    _, stderr = run.end(signal.SIGTERM)
    assert run.process.returncode == 143, stderr


def test_second_interrupt_ends_at_once(clips: Clips, tmp_path: Path) -> None:
    # The server waits ten minutes for its job: long enough to interrupt it a second time. Without the sandbox, this encoder
    # would outlive it: it deafens itself to every signal that may come by itself at the end of its parent.
    encoder = tmp_path / "bin" / "ffmpeg"
    encoder.parent.mkdir()
    stubborn = "trap '' HUP INT PIPE TERM; exec sleep 300"
    encoder.write_text(f'#!/bin/sh\ncase "$*" in *-progress*libx264*) {stubborn} ;; *) exec {shutil.which("ffmpeg")} "$@" ;; esac\n')
    encoder.chmod(0o755)
    path = f"{encoder.parent}{os.pathsep}{os.environ['PATH']}"
    (tmp_path / "abanico.toml").write_text("[engine]\ngrace_seconds = 600\nsandbox = false\n")
    words = ["serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--config", str(tmp_path / "abanico.toml")]
    keys = {"ABANICO_ACCESS_KEY_ID": ACCESS_KEY_ID, "ABANICO_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [str(binary()), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
            start_new_session=True, env={**os.environ, **keys, "PATH": path},
        )  # fmt: skip
    try:
        url = process.stdout.readline().removeprefix("listening on ").strip()
        _upload(url, clips.file(LONG))
        eventually(lambda: any(map(is_sleep, processes_of([process.pid]))), 120, "the encoder works")
        process.send_signal(signal.SIGINT)
        eventually(lambda: "taking no new jobs" in (tmp_path / "log").read_text(), 60, "the server stops")
        # The first ones may come too soon: some programs send each signal twice.
        eventually(lambda: process.send_signal(signal.SIGINT) or process.poll() is not None, 60, "the server ends")
        assert process.returncode == 130
        assert "interrupted again: ended without cleaning up" in (tmp_path / "log").read_text().splitlines()[-1]
        eventually(lambda: not processes_of([process.pid]), 10, "no encoder is left")
    finally:
        for pid in processes_of([process.pid]):
            os.kill(pid, signal.SIGKILL)
        process.wait(timeout=60)


def is_sleep(pid: int) -> bool:
    """Whether a process is the stubborn encoder."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
    return False


def _upload(url: str, video: Path) -> None:
    keys = {"aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY}
    boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys).upload_file(str(video), "uploads", "film.mp4")
