"""Do the commands `abanico aws …` work? They run against an AWS emulator, with the real functions and encoders."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aws_emulator import ACCOUNT, DEPLOY, REGION, SECRET, Emulator, credentials
from clips import Clip, Clips
from harness import Server, binary, bucket_tables, eventually, processes_of

FILM = Clip(width=640, height=360, frames=25)
STACK = "cli"
UPLOADS, RENDITIONS = f"{STACK}-uploads-{ACCOUNT}-{REGION}", f"{STACK}-renditions-{ACCOUNT}-{REGION}"


@dataclass
class Line:
    """Runs the command line with the emulator as AWS and abanico as MediaConvert."""

    aws: Emulator
    server: Server

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess:
        """Runs `abanico aws …`; credentials come from the environment, as in CI."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        endpoints = {
            "AWS_ENDPOINT_URL": self.aws.endpoint,
            "AWS_ENDPOINT_URL_MEDIACONVERT": self.server.endpoint,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        return subprocess.run(
            [str(binary()), "aws", "--stack", STACK, *words], env=clean | endpoints | credentials() | environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    def deploy(self, *words: str) -> subprocess.CompletedProcess:
        """Deploys with abanico behind the functions."""
        endpoint = f"MediaConvertEndpoint={self.server.endpoint}"
        return self.run("deploy", "--functions", str(DEPLOY / "dist"), "--param", endpoint, *words)

    def stacks(self) -> set[str]:
        """Returns the names of the existing stacks."""
        found = self.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {one["StackName"] for one in found if one["StackStatus"] != "DELETE_COMPLETE"}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The emulator and abanico, with nothing deployed yet."""
    folder = tmp_path_factory.mktemp("aws-cli")
    aws = Emulator(folder / "emulator").start()
    buckets = bucket_tables(UPLOADS, RENDITIONS, remote=aws.endpoint, region=REGION)
    config = f'region = "{REGION}"\ntrigger = []\n{buckets}'
    server = Server(folder / "abanico", config, environment=credentials(), key_pair=(ACCOUNT, SECRET))
    try:
        yield Line(aws, server.start())
    finally:
        server.end()
        aws.end()


def test_dry_run_shows_all_and_changes_nothing(line: Line) -> None:
    done = line.deploy("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "a new stack: " in done.stderr
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["action", "resource", "type", "replaced"]
    assert any(row.split()[:3] == ["Add", "TranscodeVideoLambdaFunction", "AWS::Lambda::Function"] for row in rows)
    assert "nothing was changed" in done.stderr
    assert line.stacks() == set()


def test_deploy_without_terminal_asks_nothing(line: Line) -> None:
    done = line.deploy()
    assert done.returncode == 2
    assert "pass --yes" in done.stderr
    assert line.stacks() == set()


def test_wrong_arguments_are_refused_at_once(line: Line, tmp_path: Path) -> None:
    unknown = line.deploy("--job", "four-mp4", "--yes")
    assert (unknown.returncode, "neither a built-in job nor a file" in unknown.stderr) == (2, True), unknown.stderr
    parameter = line.deploy("--param", "Jobs=1", "--yes")
    assert (parameter.returncode, "no parameter `Jobs`" in parameter.stderr) == (2, True), parameter.stderr
    folder = line.run("deploy", "--functions", str(tmp_path), "--yes")
    assert (folder.returncode, "make functions" in folder.stderr) == (2, True), folder.stderr
    job = tmp_path / "job.json"
    job.write_text('{"settings": {"outputGroups": [{"outputs": []}]}}')
    bad = line.deploy("--job", str(job), "--yes")
    assert (bad.returncode, "Should have at least 1 items" in bad.stderr) == (2, True), bad.stderr
    assert line.stacks() == set()


def test_missing_credentials_and_stacks_name_the_remedy(line: Line) -> None:
    without = line.run("status", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert without.returncode == 3, without.stderr
    assert "hint: log in with the AWS CLI" in without.stderr
    region = line.run("status", AWS_REGION="", AWS_DEFAULT_REGION="")
    assert (region.returncode, "--region" in region.stderr) == (3, True), region.stderr
    nothing = line.run("status")
    assert (nothing.returncode, "no stack `cli`" in nothing.stderr) == (2, True), nothing.stderr


@pytest.mark.parametrize("profile", ["default", "keys", "program"])
def test_credentials_come_from_each_kind_of_profile(line: Line, tmp_path: Path, profile: str) -> None:
    printed = json.dumps({"Version": 1, "AccessKeyId": ACCOUNT, "SecretAccessKey": SECRET})
    (tmp_path / "credentials").write_text(
        "".join(f"[{name}]\naws_access_key_id = {ACCOUNT}\naws_secret_access_key = {SECRET}\n" for name in ("default", "keys"))
    )
    (tmp_path / "config").write_text(f"[profile program]\ncredential_process = echo '{printed}'\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    words = [] if profile == "default" else ["--profile", profile]
    done = line.run(*words, "status", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", **files)
    assert (done.returncode, "no stack `cli`" in done.stderr) == (2, True), done.stderr


class AtTerminal:
    """`abanico aws status` at a terminal, with a profile whose program is given."""

    def __init__(self, line: Line, folder: Path, program: str) -> None:
        script = folder / "program"
        script.write_text(f"#!/bin/sh\n{program}\n")
        (folder / "config").write_text(f"[profile asking]\ncredential_process = /bin/sh {script}\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        places = {"AWS_ENDPOINT_URL": line.aws.endpoint, "AWS_REGION": REGION, "AWS_CONFIG_FILE": str(folder / "config")}
        self.user, terminal = os.openpty()
        self.process = subprocess.Popen(
            [str(binary()), "aws", "--stack", STACK, "--profile", "asking", "status"], env=clean | places,
            stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(terminal)

    def shows(self, text: str) -> None:
        """Waits until the terminal shows a text."""
        shown = ""
        while text not in shown:
            ready, _, _ = select.select([self.user], [], [], 60)
            assert ready, f"the terminal shows only {shown!r}"
            shown += os.read(self.user, 1024).decode()

    def type(self, keys: str) -> None:
        """Types on the keyboard."""
        os.write(self.user, keys.encode())

    def end(self) -> str:
        """Waits for the end and returns stderr."""
        return self.process.communicate(timeout=120)[1]

    def close(self) -> None:
        """Ends whatever is left."""
        for pid in processes_of([self.process.pid]):
            os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=60)
        os.close(self.user)


#: Asks at the terminal, as the AWS CLI asks for the code of a second factor.
ASK = "printf 'code: ' >/dev/tty; read -r code </dev/tty"


@pytest.fixture
def at_terminal(line: Line, tmp_path: Path) -> Iterator[Callable[[str], AtTerminal]]:
    """Starts the command at a terminal with a program."""
    made: list[AtTerminal] = []

    def begin(program: str) -> AtTerminal:
        made.append(AtTerminal(line, tmp_path, program))
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_credential_program_may_ask_at_the_terminal(at_terminal: Callable[[str], AtTerminal]) -> None:
    keys = f'{{"Version":1,"AccessKeyId":"{ACCOUNT}","SecretAccessKey":"\'"$code"\'"}}'
    run = at_terminal(f"{ASK}; echo '{keys}'")
    run.shows("code: ")
    run.type(f"{SECRET}\n")
    stderr = run.end()
    assert (run.process.returncode, "no stack `cli`" in stderr) == (2, True), stderr


def test_ctrl_c_at_a_credential_program_ends_both(at_terminal: Callable[[str], AtTerminal]) -> None:
    run = at_terminal(ASK)
    run.shows("code: ")
    run.type("\x03")
    stderr = run.end()
    assert (run.process.returncode, stderr) == (130, "interrupted: nothing was changed\n")
    eventually(lambda: not processes_of([run.process.pid]), 60, "the program is gone")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signal_ends_a_credential_program_with_its_children(
    at_terminal: Callable[[str], AtTerminal], number: signal.Signals, status: int
) -> None:
    run = at_terminal("sleep 1000 & printf 'waiting' >/dev/tty; wait")
    run.shows("waiting")
    run.process.send_signal(number)
    assert (run.end().count("\n"), run.process.returncode) == (1, status)
    eventually(lambda: not processes_of([run.process.pid]), 60, "the program and its children are gone")


def test_role_is_left_to_the_aws_cli(line: Line, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[profile role]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/deployer\nsource_profile = keys\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    # The tests' AWS CLI is version 1, which does not hand out credentials.
    old = line.run("--profile", "role", "status", **files)
    assert (old.returncode, "needs version 2 of the AWS CLI" in old.stderr) == (3, True), old.stderr
    # Version 2 is not on PyPI: this program prints what version 2 prints.
    printed = json.dumps({"Version": 1, "AccessKeyId": ACCOUNT, "SecretAccessKey": SECRET})
    cli = tmp_path / "aws"
    cli.write_text(f"#!/bin/sh\n[ \"$*\" = 'configure export-credentials --format process --profile role' ] && echo '{printed}'\n")
    cli.chmod(0o755)
    done = line.run("--profile", "role", "status", **files, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, "no stack `cli`" in done.stderr) == (2, True), done.stderr


def test_named_profile_wins_over_keys_in_the_environment(line: Line, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile broken]\ncredential_process = echo 'session expired' >&2; exit 1\n")
    done = line.run("--profile", "broken", "status", AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert (done.returncode, "session expired" in done.stderr) == (3, True), done.stderr
    named = line.run("status", AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_PROFILE="broken")
    assert named.returncode == 2, "keys in the environment win over AWS_PROFILE"


def test_deploy_creates_the_stack_and_shows_usage(line: Line) -> None:
    done = line.deploy("--yes")
    assert done.returncode == 0, done.stderr
    assert f"aws s3 cp film.mp4 s3://{UPLOADS}/" in done.stderr
    assert "3 of 3 files sent" not in done.stderr, "the dry run has already sent them"
    outputs = dict(row.split(maxsplit=1) for row in done.stdout.splitlines() if row.split()[0].endswith("Name"))
    assert outputs["OutputBucketName"].strip() == RENDITIONS
    assert line.stacks() == {STACK}


def test_repeated_deploy_changes_nothing(line: Line) -> None:
    done = line.deploy("--yes")
    assert (done.returncode, "nothing to change" in done.stderr) == (0, True), done.stderr


def test_submit_turns_a_file_into_renditions(line: Line, clips: Clips) -> None:
    done = line.run("submit", str(clips.file(FILM)), "--key", "mit Leerzeichen ä.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"s3://{RENDITIONS}/mit Leerzeichen ä.mp4/"
    assert "COMPLETE 100 %" in done.stderr
    listed = line.aws.client("s3").list_objects_v2(Bucket=RENDITIONS)["Contents"]
    assert sum(one["Key"].endswith(".mp4") for one in listed) == 3


def test_submit_runs_another_job_on_an_object(line: Line) -> None:
    done = line.run("submit", f"s3://{UPLOADS}/mit Leerzeichen ä.mp4", "--job", "hls")
    assert done.returncode == 0, done.stderr
    keys = [one["Key"] for one in line.aws.client("s3").list_objects_v2(Bucket=RENDITIONS)["Contents"]]
    assert "mit Leerzeichen ä.mp4/mit Leerzeichen ä.m3u8" in keys


def test_failed_job_ends_submit_with_its_reason(line: Line, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    done = line.run("submit", str(text))
    assert done.returncode == 1
    assert "ERROR 1010" in done.stderr
    missing = line.run("submit", str(tmp_path / "missing.mp4"))
    assert (missing.returncode, "missing.mp4" in missing.stderr) == (1, True), missing.stderr


def test_status_shows_stack_and_jobs(line: Line) -> None:
    told = json.loads(line.run("status", "--json").stdout)
    assert (told["status"], told["deadLetters"]) == ("CREATE_COMPLETE", 0)
    assert [job["status"] for job in told["jobs"]] == ["ERROR", "COMPLETE", "COMPLETE"]
    text = line.run("status").stdout
    assert f"uploads: s3://{UPLOADS}/" in text
    assert "dead letters: none" in text


def test_logs_show_what_the_function_did(line: Line) -> None:
    done = line.run("logs", "--since", "10m")
    assert done.returncode == 0, done.stderr
    assert "an upload became a job" in done.stdout


def test_change_keeps_all_other_settings(line: Line) -> None:
    done = line.deploy("--job", "hls", "--yes")
    assert done.returncode == 0, done.stderr
    function = line.aws.client("lambda").get_function_configuration(FunctionName=f"{STACK}-transcode-video")
    assert function["Environment"]["Variables"]["ABANICO_JOB"] == "jobs/hls.json"
    stack = line.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    kept = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
    assert kept["MediaConvertEndpoint"] == line.server.endpoint
    assert line.aws.client("s3").list_objects_v2(Bucket=UPLOADS)["KeyCount"] == 2


def test_remove_keeps_the_buckets_by_default(line: Line) -> None:
    done = line.run("remove", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"bucket {UPLOADS} with 2 objects stays" in done.stderr
    assert line.stacks() == set()
    s3 = line.aws.client("s3")
    assert UPLOADS in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_existing_buckets_are_reused_and_own_buckets_removable(line: Line) -> None:
    refused = line.deploy("--yes")
    assert (refused.returncode, f"--existing-upload-bucket {UPLOADS}" in refused.stderr) == (2, True), refused.stderr
    buckets = ["--existing-upload-bucket", UPLOADS, "--existing-output-bucket", RENDITIONS]
    done = line.deploy("--yes", *buckets)
    assert done.returncode == 0, done.stderr
    s3 = line.aws.client("s3")
    assert s3.get_bucket_notification_configuration(Bucket=UPLOADS)["LambdaFunctionConfigurations"]
    kept = line.run("remove", "--with-buckets", "--yes")
    assert kept.returncode == 0, kept.stderr
    assert UPLOADS in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}, "a bucket older than the stack must stay"
    made = line.deploy("--yes", "--upload-bucket", "made-uploads", "--output-bucket", "made-renditions")
    assert made.returncode == 0, made.stderr
    s3.put_object(Bucket="made-uploads", Key="a b/+.txt", Body=b"x")
    gone = line.run("remove", "--with-buckets", "--yes")
    assert gone.returncode == 0, gone.stderr
    names = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
    assert not names & {"made-uploads", "made-renditions"}


def test_policy_prints_the_deployers_policy_as_json(line: Line) -> None:
    assert json.loads(line.run("policy").stdout) == json.loads((DEPLOY / "deployer-policy.json").read_text())
