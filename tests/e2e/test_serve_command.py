"""Does `abanico serve -- COMMAND` run a client's command against a server, and end with it?"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness import binary, eventually, processes_of


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a server for a command in `folder`, without the shell's own AWS and abanico variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ABANICO_"))}
    return subprocess.Popen(
        [str(binary()), "serve", "--", *command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=clean | environment,
    )  # fmt: skip


def run(folder: Path, *command: str, **environment: str) -> tuple[int, str, str]:
    """Runs a server for a command until both have ended; returns the exit status, stdout and stderr."""
    process = start(folder, *command, **environment)
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, stderr


def test_command_reaches_the_server_with_its_keys(tmp_path: Path) -> None:
    program = "import boto3; print([bucket['Name'] for bucket in boto3.client('s3').list_buckets()['Buckets']])"
    # The variables of a shell that is logged in to AWS must not get in the way.
    shell = {"AWS_PROFILE": "missing", "AWS_SESSION_TOKEN": "other", "AWS_ACCESS_KEY_ID": "AKIAOTHER"}
    status, stdout, stderr = run(tmp_path, sys.executable, "-c", program, **shell)
    assert (status, stdout) == (0, "['renditions', 'uploads']\n"), stderr


def test_command_gets_a_free_port_of_its_own(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4566))
            taken.listen()
        except OSError:
            pass  # Another program has the port already, which serves as well.
        status, stdout, stderr = run(tmp_path, "printenv", "AWS_ENDPOINT_URL")
    assert status == 0, stderr
    assert urlsplit(stdout.strip()).port not in (None, 0, 4566)


def test_stdout_is_the_commands_alone(tmp_path: Path) -> None:
    status, stdout, stderr = run(tmp_path, "echo", "only", "this")
    assert (status, stdout, stderr) == (0, "only this\n", "")


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_exit_status_is_the_commands(tmp_path: Path, script: str, status: int) -> None:
    assert run(tmp_path, "sh", "-c", script)[0] == status


def test_missing_program_is_named(tmp_path: Path) -> None:
    status, stdout, stderr = run(tmp_path, "no-such-program", "--flag")
    assert (status, stdout) == (2, "")
    assert "cannot start `no-such-program`" in stderr and "hint:" in stderr


def test_unfinished_jobs_are_told(tmp_path: Path) -> None:
    program = """
import boto3, sys
s3, api = boto3.client("s3"), boto3.client("mediaconvert")
api.update_queue(Name="Default", Status="PAUSED")
s3.put_object(Bucket="uploads", Key="film.mp4", Body=open(sys.argv[1], "rb").read())
while not api.list_jobs()["Jobs"]:
    pass
"""
    film = tmp_path / "film.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:d=1", "-pix_fmt", "yuv420p", str(film)]
    subprocess.run(command, check=True, timeout=60)
    status, _, stderr = run(tmp_path, sys.executable, "-c", program, str(film))
    assert status == 0, stderr
    assert "1 job was not finished" in stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda value: str(value)
)
def test_signal_ends_the_command_then_the_server(tmp_path: Path, number: signal.Signals, status: int) -> None:
    ready = tmp_path / "ready"
    # The shell waits for a program of its own, which must end too.
    process = start(tmp_path, "bash", "-c", f"sleep 600 & touch {ready}; wait")
    eventually(ready.exists, 60, "the command runs")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == status, stderr
    assert processes_of([process.pid]) == []


def test_second_signal_kills_a_stubborn_command(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = start(tmp_path, "bash", "-c", f"trap '' TERM; touch {ready}; while :; do sleep 1; done")
    eventually(ready.exists, 60, "the command runs")
    process.send_signal(signal.SIGTERM)
    # Two equal signals at once may arrive as one.
    eventually(lambda: process.send_signal(signal.SIGTERM) or process.poll() is not None, 60, "the command is killed")
    assert process.returncode == 137


def test_background_programs_end_with_the_command(tmp_path: Path) -> None:
    process = start(tmp_path, "bash", "-c", "sleep 600 > /dev/null 2>&1 &")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert processes_of([process.pid]) == []


def test_data_folder_in_use_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, "sh", "-c", "echo up; sleep 600")
    try:
        assert first.stdout.readline() == "up\n"
        status, _, stderr = run(tmp_path, "true")
        assert status != 0 and "another" in stderr, stderr
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)


def test_trigger_without_a_place_for_its_outputs_is_refused(tmp_path: Path) -> None:
    buckets = '[[bucket]]\nname = "uploads"\n\n[[bucket]]\nname = "made"\n\n'
    trigger = '[[trigger]]\nid = "films"\nbucket = "uploads"\ntemplate = "three-mp4"\n'
    (tmp_path / "abanico.toml").write_text(f'{buckets}{trigger}destination = "s3://nowhere/{{key}}/"\n')
    words = ["serve", "--config", "abanico.toml", "--listen", "127.0.0.1:0", "--data", "data", "--", "true"]
    refused = subprocess.run([str(binary()), *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 2, refused.stderr
    assert "trigger `films` writes to bucket `nowhere`, which does not exist" in refused.stderr and "[[bucket]]" in refused.stderr
    for place in ("s3://made/{key}/", "s3://{bucket}/made/{key}/"):
        (tmp_path / "abanico.toml").write_text(f'{buckets}{trigger}destination = "{place}"\n')
        assert subprocess.run([str(binary()), *words], cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode == 0
