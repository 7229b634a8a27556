"""Runs an AWS emulator on this machine: ministack, which runs Lambda functions from zip files as processes.

Deploys deploy/template.yaml, the same template that users deploy, with the zip files that `make functions` builds, and
provides boto3 clients for the emulator.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.config import Config
from harness import WORKSPACE, eventually

# The emulator gives its functions the account number as the access key and this secret, so abanico must accept the pair.
ACCOUNT, SECRET, REGION = "000000000000", "a-secret-of-the-emulator", "us-east-1"
DEPLOY = WORKSPACE / "deploy"
FUNCTIONS = ("transcode-video", "job-finished", "bucket-notification")


def credentials() -> dict[str, str]:
    """Returns the environment variables with which clients of the emulator sign."""
    return {"AWS_ACCESS_KEY_ID": ACCOUNT, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION}


@dataclass
class Emulator:
    """The emulator on a free port of the loopback address."""

    folder: Path
    port: int = 0
    process: subprocess.Popen | None = None
    clients: dict[str, object] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The URL of all its services."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Emulator:
        """Starts the emulator and returns when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        environment = os.environ | credentials() | {
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "AWS_ENDPOINT_URL": self.endpoint,
            "LAMBDA_EXECUTOR": "local", "LAMBDA_STRICT": "0", "PERSIST_STATE": "0", "TMPDIR": str(self.folder),
        }  # fmt: skip
        with (self.folder / "emulator.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ministack"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        eventually(self._answers, 60, "the emulator answers")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def end(self) -> None:
        """Stops the emulator and the functions that it started."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass

    def log(self) -> str:
        """Returns the end of its log."""
        return (self.folder / "emulator.log").read_text(errors="replace")[-8000:]

    def client(self, service: str) -> object:
        """Returns a boto3 client for a service."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id=ACCOUNT,
                aws_secret_access_key=SECRET, config=Config(s3={"addressing_style": "path"}),
            )  # fmt: skip
        return self.clients[service]

    def upload_functions(self, bucket: str, prefix: str) -> None:
        """Puts the zip files where the template looks for them."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket)
        for function in FUNCTIONS:
            s3.upload_file(str(zip_file(function)), bucket, f"{prefix}{function}-x86_64.zip")

    def deploy(self, stack: str, parameters: dict[str, str]) -> dict[str, str]:
        """Deploys the template through a change set, as the command line does, and returns the stack's outputs."""
        cloudformation = self.client("cloudformation")
        exists = stack in {
            one["StackName"]
            for one in cloudformation.describe_stacks()["Stacks"]
            if one["StackStatus"] != "DELETE_COMPLETE"
        }
        name = f"change-{time.monotonic_ns()}"
        cloudformation.create_change_set(
            StackName=stack, ChangeSetName=name, ChangeSetType="UPDATE" if exists else "CREATE",
            TemplateBody=(DEPLOY / "template.yaml").read_text(), Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )  # fmt: skip
        cloudformation.execute_change_set(StackName=stack, ChangeSetName=name)

        def settled() -> dict | None:
            found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        found = eventually(settled, 90, f"stack {stack} settles")
        assert found["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, (
            found,
            cloudformation.describe_stack_events(StackName=stack)["StackEvents"],
        )
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def zip_file(function: str) -> Path:
    """Returns a function's zip file. If it is missing, the test fails and names the command that builds it."""
    file = DEPLOY / "dist" / f"{function}-x86_64.zip"
    assert file.exists(), f"{file.name} is missing: run `make functions`"
    return file


def free_port() -> int:
    """Returns a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
