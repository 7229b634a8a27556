"""Does what OPERATIONS.md says work: its commands, its unit, its settings, its alerts?"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from harness import WORKSPACE, Server, binary, eventually
from test_metrics import NAME, documented
from test_operations import broken_trigger

GUIDE = (WORKSPACE / "docs" / "OPERATIONS.md").read_text()
UNIT = WORKSPACE / "deploy" / "abanico.service"


def blocks(language: str) -> list[str]:
    """Fenced blocks of the guide in a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    return [block for named, block in fenced if named == language]


def commands(program: str) -> list[str]:
    """Lines of the guide's blocks that run a program."""
    return [line for block in blocks("") for line in block.splitlines() if line.startswith(program + " ")]


@pytest.fixture(scope="module")
def troubled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server with a dead letter and a failed job."""
    server.stop()
    server.config = broken_trigger(tmp_path_factory.mktemp("template"))
    server.start()
    server.s3.put_object(Bucket="broken", Key="letter.mp4", Body=b"no film")
    server.s3.put_object(Bucket="uploads", Key="bad.mp4", Body=b"no film")
    assert server.wait_job("bad.mp4")["Status"] == "ERROR"
    eventually(lambda: "letter.mp4" in run(server, "curl --silent " + dead_letters().removeprefix("curl ")).stdout, 30, "a dead letter")
    return server


def dead_letters() -> str:
    """The command that lists dead letters."""
    (command,) = [line for line in commands("curl") if line.endswith("/dead-letters")]
    return command


def run(server: Server, command: str) -> subprocess.CompletedProcess:
    """Runs a command of the guide, with the variables that the server prints."""
    folder = binary().absolute().parent
    environment = {**os.environ, **server.exports, "PATH": f"{folder}:{os.environ['PATH']}"}
    environment |= {"ABANICO_ACCESS_KEY_ID": server.key_pair[0], "ABANICO_SECRET_ACCESS_KEY": server.key_pair[1]}
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, env=environment, cwd=server.folder)


def test_every_request_of_the_guide_is_answered(troubled: Server) -> None:
    seen = set()
    for command in commands("curl"):
        if "/dead-letters" in command:
            letters = json.loads(run(troubled, "curl --silent " + dead_letters().removeprefix("curl ")).stdout)["deadLetters"]
            assert set(letters[0]) == {"id", "bucket", "key", "function", "attempts", "reason", "event"}
            asked = command.replace("/ID/", f"/{letters[0]['id']}/")
            status = run(troubled, f"{asked} --silent --output answer --write-out '%{{http_code}}'")
            assert status.stdout == ("202" if "replay" in command else "200"), (command, status.stderr)
            seen.add("replay" if "replay" in command else "list")
            continue
        # A stream does not end by itself.
        streamed = run(troubled, f"{command} --silent --max-time 2 --write-out '%{{http_code}}'")
        assert streamed.stdout.endswith("200") and streamed.returncode == 28, (command, streamed.stderr)
        if "Last-Event-ID" in command:
            event = re.match(r"id: (\d+)\nevent: job\ndata: (.*)\n", streamed.stdout)
            assert event, streamed.stdout
            assert json.loads(event[2])["detail"]["status"] == "PROGRESSING"
            seen.add("events")
    assert seen == {"list", "replay", "events"}


def test_every_gc_command_of_the_guide_runs(troubled: Server) -> None:
    (troubled.folder / "films").mkdir()
    for command in commands("abanico gc"):
        command = command.replace("abanico-data", "data") if "--data" in command else f"{command} --data data"
        done = run(troubled, command)
        assert done.returncode == 0 and "objects in uploads" in done.stdout, done.stderr


def test_settings_behind_a_proxy_are_valid(tmp_path: Path) -> None:
    (block,) = blocks("toml")
    settings = tomllib.loads(block)
    file = tmp_path / "abanico.toml"
    file.write_text(block)
    done = subprocess.run([str(binary()), "doctor", "--config", str(file)], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode in (0, 3) and "abanico.toml" not in done.stderr, done.stderr
    # The proxies serve that name and reach that address.
    (nginx,), (caddy,) = blocks("nginx"), blocks("caddy")
    assert f"server_name {settings['hosts'][0]};" in nginx and caddy.startswith(settings["hosts"][0])
    assert f"proxy_pass http://{settings['listen']};" in nginx and settings["listen"] in caddy
    for needed in ("Host $http_host", "client_max_body_size 0", "proxy_request_buffering off", "proxy_buffering off"):
        assert needed in nginx, needed


def test_unit_is_valid(tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    service = unit["Service"]
    help_text = subprocess.run([str(binary()), "serve", "--help"], capture_output=True, text=True, timeout=30).stdout
    for option in re.findall(r"--\w+", service["ExecStart"]):
        assert option in help_text
    # SIGTERM must not reach ffmpeg by another way, and the grace must fit.
    assert service["KillMode"] == "mixed" and int(service["TimeoutStopSec"].removesuffix("s")) > 10 + 20
    namespaces = (WORKSPACE / "crates" / "ffmpeg" / "src" / "sandbox" / "namespaces.rs").read_text()
    assert {name.lower() for name in re.findall(r"CLONE_NEW(\w+)", namespaces)} == set(service["RestrictNamespaces"].split())
    if shutil.which("systemd-analyze"):
        copy = tmp_path / "abanico.service"
        copy.write_text(UNIT.read_text().replace("/usr/local/bin/abanico", str(binary().absolute())).replace("User=abanico\nGroup=abanico\n", ""))
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60)
        own = [line for line in (checked.stdout + checked.stderr).splitlines() if "abanico" in line]
        assert own == []


def test_alerts_use_metrics_that_there_are() -> None:
    rows = re.findall(r"^\| [\w ]+ \| `(.*abanico_.*)` \|$", GUIDE, re.MULTILINE)
    assert len(rows) > 5
    for expression in rows:
        names = set(NAME.findall(expression))
        assert names and names <= set(documented()), expression
        for label in re.findall(r"(\w+)=\"", expression):
            assert any(label in documented()[name] for name in names), expression
