"""Does the Serverless Framework deploy the same stack? osls packages it offline, and the result is compared with our template."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from aws_template import template
from harness import WORKSPACE

DEPLOY = WORKSPACE / "deploy"
# What the framework adds for itself: the bucket for its code.
OF_THE_FRAMEWORK = {"ServerlessDeploymentBucket", "ServerlessDeploymentBucketPolicy"}


@pytest.fixture(scope="module")
def packaged() -> dict:
    """The template that osls generates, without network or credentials."""
    osls = DEPLOY / "node_modules" / ".bin" / "osls"
    if not osls.exists():
        pytest.skip("osls is missing: `make e2e` installs it")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # An unreachable proxy simulates a machine without network.
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "CI": "1"}
    command = [str(osls), "package", "--region", "eu-west-1", "--param=job=hls", "--param=uploadPrefix=in/"]
    done = subprocess.run(
        command, cwd=DEPLOY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((DEPLOY / ".serverless" / "cloudformation-template-update-stack.json").read_text())


def without_code(resources: dict) -> dict:
    """Returns the resources without their code locations, which each tool chooses for itself."""
    plain = json.loads(json.dumps(resources))
    for resource in plain.values():
        resource.get("Properties", {}).pop("Code", None)
        # The framework also lists dependencies that CloudFormation infers from the properties anyway.
        waits = resource.pop("DependsOn", [])
        properties = json.dumps(resource.get("Properties", {}))
        named = [waits] if isinstance(waits, str) else waits
        resource["DependsOn"] = sorted(name for name in named if f'"Fn::GetAtt": ["{name}"' not in properties)
    return plain


def differences(ours: dict, theirs: dict, place: str = "") -> list[str]:
    """Lists every place where two trees differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = []
        for key in sorted({*ours, *theirs}):
            if key not in ours or key not in theirs:
                found.append(f"{place}/{key} is only in {'theirs' if key in theirs else 'ours'}")
            else:
                found += differences(ours[key], theirs[key], f"{place}/{key}")
        return found
    return [] if ours == theirs else [f"{place}: ours is {ours!r}, theirs is {theirs!r}"]


def test_resources_and_policies_match_the_template(packaged: dict) -> None:
    ours = without_code(template()["Resources"])
    theirs = without_code({name: one for name, one in packaged["Resources"].items() if name not in OF_THE_FRAMEWORK})
    assert differences(ours, theirs) == []


def test_conditions_and_parameters_match_the_template(packaged: dict) -> None:
    assert packaged["Conditions"] == template()["Conditions"]
    ours = {name for name in template()["Parameters"] if not name.startswith("Functions")}
    assert set(packaged["Parameters"]) == ours
    assert packaged["Parameters"]["Job"]["Default"] == "hls"
    assert packaged["Parameters"]["UploadPrefix"]["Default"] == "in/"


def test_every_function_gets_its_own_code(packaged: dict) -> None:
    for function in ("transcode-video", "job-finished", "bucket-notification"):
        name = "".join(part.capitalize() for part in function.split("-")) + "LambdaFunction"
        assert packaged["Resources"][name]["Properties"]["Code"]["S3Key"].endswith(f"/{function}-x86_64.zip")


def test_comparison_sees_a_change() -> None:
    ours = without_code(template()["Resources"])
    changed = json.loads(json.dumps(ours))
    changed["JobFinishedRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Action"] = "*"
    del changed["FailedTopic"]
    found = differences(ours, changed)
    assert len(found) == 2, found


def test_lock_file_names_no_registry() -> None:
    lock = json.loads(Path(DEPLOY / "package-lock.json").read_text())
    assert not any("resolved" in one for one in lock["packages"].values())
