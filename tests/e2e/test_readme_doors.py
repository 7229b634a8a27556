"""Do the commands of the README work? Each block is read from README.md and run as it stands, in a folder that looks like the
checkout after `make demo`. Only the environment is set: ports, folders, and credentials of an emulator."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aws_emulator import ACCOUNT, FUNCTIONS, REGION, SECRET, Emulator, credentials, free_port, zip_file
from clips import Clip, Clips
from harness import WORKSPACE, Server, binary, bucket_tables, processes_of
from media_facts import facts

README = (WORKSPACE / "README.md").read_text()
DOOR = re.compile(r"^<!-- door: (\w+) -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILM = Clip(width=1920, height=1080, rate="25", frames=50)
STACK = "abanico"
UPLOADS, RENDITIONS = f"{STACK}-uploads-{ACCOUNT}-{REGION}", f"{STACK}-renditions-{ACCOUNT}-{REGION}"


def doors(text: str) -> dict[str, str]:
    """The blocks of a README by the names in their comments."""
    return dict(DOOR.findall(text))


def path_line() -> str:
    """The line of the README that puts abanico on the path."""
    (line,) = [line for line in doors(README)["start"].splitlines() if line.startswith("export PATH=")]
    return line


@dataclass
class Checkout:
    """A folder like the checkout after `make demo`, with a film in it and without anything else to run."""

    folder: Path

    def run(self, door: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a door after the line that sets the path; stops at the first command that fails."""
        script = f"{path_line()}\n{doors(README)[door]}"
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ABANICO_"))}
        # The client's own programs (python3 with boto3, aws) come from the tests' virtual environment.
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        process = subprocess.Popen(
            ["bash", "-e", "-c", script], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True, env=clean | {"PATH": tools} | environment,
        )  # fmt: skip
        session = process.pid
        # A server in the background keeps the pipe open, so the end of the script is waited for, not the end of the output.
        try:
            process.wait(timeout=300)
        finally:
            stop(session)
            output = process.stdout.read()
        return subprocess.CompletedProcess(script, process.returncode, output, "")


def stop(session: int) -> None:
    """Ends what a door left running: a server gets a few seconds for a clean stop."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_of([session]):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        end = time.monotonic() + 15
        while processes_of([session]) and time.monotonic() < end:
            time.sleep(0.05)


@pytest.fixture
def checkout(tmp_path: Path, clips: Clips) -> Checkout:
    """The folder, with the program where `make demo` leaves it."""
    folder = tmp_path / "checkout"
    built = folder / "target" / "release" / "abanico"
    built.parent.mkdir(parents=True)
    built.symlink_to(binary().absolute())
    for name in ("examples", "deploy"):
        (folder / name).symlink_to(WORKSPACE / name)
    shutil.copy(clips.file(FILM), folder / "film.mp4")
    return Checkout(folder)


def test_doors_have_three_lines_each() -> None:
    found = doors(README)
    assert list(found) == ["start", "transcode", "serve", "deploy"]
    assert {name: len(block.splitlines()) for name, block in found.items() if name != "start"} == {
        "transcode": 3, "serve": 3, "deploy": 3,
    }  # fmt: skip
    assert "make demo" in found["start"].splitlines()


def test_transcode_door_makes_three_renditions(checkout: Checkout) -> None:
    ran = checkout.run("transcode")
    assert ran.returncode == 0, ran.stdout
    made = {file.name: facts(file).size for file in (checkout.folder / "renditions").iterdir()}
    assert made == {"film_1080p.mp4": (1920, 1080), "film_720p.mp4": (1280, 720), "film_480p.mp4": (854, 480)}


def test_serve_door_completes_an_sdks_job(checkout: Checkout) -> None:
    ran = checkout.run("serve", ABANICO_LISTEN="127.0.0.1:0")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^job \S+: COMPLETE$", ran.stdout, re.MULTILINE), ran.stdout
    made = dict(re.findall(r"^s3://films/film/(\S+)  (\d+) bytes$", ran.stdout, re.MULTILINE))
    assert sorted(made) == ["film_1080p.mp4", "film_480p.mp4", "film_720p.mp4"]
    assert all(int(size) > 1000 for size in made.values())
    # The next command fetches what the first one's job made, from another server on the same data.
    assert sorted(file.name for file in (checkout.folder / "renditions").iterdir()) == sorted(made)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Emulator, Server]]:
    """An AWS emulator whose functions reach abanico where AWS has MediaConvert."""
    for function in FUNCTIONS:
        zip_file(function)
    listen = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_MEDIACONVERT", f"http://{listen}")
    emulator = Emulator(tmp_path / "emulator").start()
    buckets = bucket_tables(UPLOADS, RENDITIONS, remote=emulator.endpoint, region=REGION)
    config = f'region = "{REGION}"\ntrigger = []\n{buckets}'
    keys = (ACCOUNT, SECRET)
    server = Server(tmp_path / "server", config, environment=credentials(), key_pair=keys, listen=listen)
    try:
        yield emulator, server.start()
    finally:
        server.end()
        emulator.end()


def test_deploy_door_makes_the_stack_and_renditions(checkout: Checkout, aws: tuple[Emulator, Server]) -> None:
    emulator, server = aws
    ran = checkout.run(
        "deploy", **credentials(), AWS_ENDPOINT_URL=emulator.endpoint, AWS_ENDPOINT_URL_MEDIACONVERT=server.endpoint,
        AWS_REGION=REGION, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    (stack,) = emulator.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert f"s3://{RENDITIONS}/film.mp4/" in ran.stdout
    listed = emulator.client("s3").list_objects_v2(Bucket=RENDITIONS)["Contents"]
    assert sum(one["Key"].endswith(".mp4") for one in listed) == 3
