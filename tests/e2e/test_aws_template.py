"""Is the deployment's template valid, and do its roles allow exactly what the functions call?"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
from aws_template import TEMPLATE, listed, statements, template
from botocore.validate import ParamValidator
from harness import WORKSPACE

CRATES = WORKSPACE / "crates"
DEPLOY = WORKSPACE / "deploy"
DOCS = WORKSPACE / "docs" / "AWS.md"
# Each role in the template, with the sources of the function that runs under it.
FUNCTIONS = {
    "TranscodeVideoRole": ["transcode_video.rs"],
    "JobFinishedRole": ["job_finished.rs"],
    "BucketNotificationRole": ["bucket_notification.rs"],
}
# What the services themselves do on a function's behalf: Lambda writes logs and sends failed events to the queue, and
# the submitter of a job passes the job's role on.
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


def client_methods() -> dict[str, str]:
    """Maps the client methods in crates/aws to the IAM action of the operation that each sends."""
    actions = iam_actions()
    methods = {}
    for file in sorted((CRATES / "aws" / "src").glob("*.rs")):
        text = file.read_text().split("#[cfg(test)]")[0]
        for method in re.split(r"(?=pub async fn )", text)[1:]:
            name = re.match(r"pub async fn (\w+)", method)[1]
            sent = re.search(r"Operation::(\w+)", method)
            if sent:
                methods[name] = actions[sent[1]]
    return methods


def iam_actions() -> dict[str, str]:
    """Maps the operations of crates/aws to the IAM actions that they need."""
    text = (CRATES / "aws" / "src" / "operation.rs").read_text().split("fn iam_action")[1]
    actions = {}
    for names, action in re.findall(r"((?:Self::\w+\s*\|?\s*)+)=> \"([a-z0-9]+:\w+)\"", text):
        actions |= dict.fromkeys(re.findall(r"Self::(\w+)", names), action)
    return actions


def called(sources: list[str]) -> set[str]:
    """Returns the IAM actions that a function's code needs."""
    methods = client_methods()
    found = set()
    for source in sources:
        text = (CRATES / "lambda" / "src" / source).read_text().split("#[cfg(test)]")[0]
        found |= {action for name, action in methods.items() if re.search(rf"\.{name}\(", text)}
    return found


def allowed(role: dict) -> set[str]:
    """Returns the actions that a role allows."""
    return {action for one in statements(role) for action in listed(one["Action"])}


def expected(role: str) -> set[str]:
    """Returns what a role must allow: the code's calls and what the services do on its behalf."""
    actions = called(FUNCTIONS[role]) | LOGS
    resources = template()["Resources"]
    function = role.replace("Role", "LambdaFunction")
    retries = [
        one
        for one in resources.values()
        if one["Type"] == "AWS::Lambda::EventInvokeConfig" and one["Properties"]["FunctionName"] == {"Ref": function}
    ]
    if retries:
        actions.add("sqs:SendMessage")
    if "mediaconvert:CreateJob" in actions:
        actions.add("iam:PassRole")
    return actions


@pytest.mark.parametrize("role", FUNCTIONS)
def test_role_allows_exactly_what_its_function_calls(role: str) -> None:
    assert allowed(template()["Resources"][role]) == expected(role)


def test_check_finds_the_calls() -> None:
    assert called(["transcode_video.rs"]) == {"mediaconvert:CreateJob", "sqs:SendMessage"}
    assert called(["job_finished.rs"]) == {"mediaconvert:GetJob", "s3:GetObject", "s3:PutObject", "sns:Publish"}


def test_permissions_are_limited_to_named_resources() -> None:
    for name, resource in template()["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        assert "ManagedPolicyArns" not in resource["Properties"], name
        for statement in statements(resource):
            assert all("*" not in action for action in listed(statement["Action"])), (name, statement)
            for place in listed(statement["Resource"]):
                assert place != "*", (name, statement)
                text = json.dumps(place)
                # A wildcard may only match inside a named bucket, account, region or log group.
                before = text.split("*")[0]
                assert any(part in before for part in ("${Bucket}", "${AWS::AccountId}", "GetAtt", "Ref")), place


def test_job_role_is_passed_only_to_mediaconvert() -> None:
    resources = template()["Resources"]
    (handed,) = [one for one in statements(resources["TranscodeVideoRole"]) if one["Action"] == "iam:PassRole"]
    assert handed["Resource"] == {"Fn::GetAtt": ["MediaConvertRole", "Arn"]}
    assert handed["Condition"] == {"StringEquals": {"iam:PassedToService": "mediaconvert.amazonaws.com"}}
    (trust,) = resources["MediaConvertRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert allowed(resources["MediaConvertRole"]) == {"s3:GetObject", "s3:PutObject"}


def test_template_passes_cfn_lint() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    command = [str(lint), "--non-zero-exit-code", "informational", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_buckets_are_private_and_encrypted() -> None:
    resources = template()["Resources"]
    for name in ("UploadBucket", "OutputBucket"):
        bucket = resources[name]
        properties = bucket["Properties"]
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert properties["BucketEncryption"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in properties["LifecycleConfiguration"]["Rules"])
        (policy,) = [
            one
            for one in resources.values()
            if one["Type"] == "AWS::S3::BucketPolicy" and one["Properties"]["Bucket"] == {"Ref": name}
        ]
        (deny,) = policy["Properties"]["PolicyDocument"]["Statement"]
        assert deny["Effect"] == "Deny"
        assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_deployers_policy_covers_every_service() -> None:
    policy = json.loads((WORKSPACE / "deploy" / "deployer-policy.json").read_text())
    services = {action.split(":")[0] for one in policy["Statement"] for action in listed(one["Action"])}
    needed = {
        "AWS::S3": "s3", "AWS::IAM": "iam", "AWS::Logs": "logs", "AWS::Lambda": "lambda", "AWS::Events": "events",
        "AWS::SQS": "sqs", "AWS::SNS": "sns", "AWS::CloudWatch": "cloudwatch",
    }  # fmt: skip
    kinds = {"::".join(one["Type"].split("::")[:2]) for one in template()["Resources"].values()}
    kinds.discard("Custom::BucketNotification")
    assert {needed[kind] for kind in kinds} | {"cloudformation"} <= services
    for one in policy["Statement"]:
        assert all(action != "*" and not action.endswith(":*") for action in listed(one["Action"])), one


@pytest.mark.parametrize("job", ["three-mp4", "hls", "thumbnails"])
def test_job_files_are_valid_requests(job: str) -> None:
    request = json.loads((WORKSPACE / "deploy" / "jobs" / f"{job}.json").read_text())
    shape = botocore.session.get_session().get_service_model("mediaconvert").shape_for("CreateJobRequest")
    report = ParamValidator().validate(_pascal(request, shape) | {"Role": "arn:aws:iam::111122223333:role/r"}, shape)
    assert not report.has_errors(), report.generate_report()


def test_every_parameter_is_documented() -> None:
    text = DOCS.read_text()
    for name, parameter in template()["Parameters"].items():
        default = parameter.get("Default", "needed")
        assert re.search(rf"\| `{name}` \| {re.escape(_shown(default))} \|", text), name


def _shown(default: object) -> str:
    if default == "needed":
        return "needed"
    return f"`{default}`" if default != "" else "empty"


def _pascal(value: object, shape: object) -> object:
    """Converts wire names to the SDK's names. Leaves the keys of maps unchanged."""
    if shape.type_name == "structure":
        names = {name[0].lower() + name[1:]: name for name in shape.members}
        return {names[key]: _pascal(below, shape.members[names[key]]) for key, below in value.items()}
    if shape.type_name == "list":
        return [_pascal(one, shape.member) for one in value]
    if shape.type_name == "map":
        return {key: _pascal(below, shape.value) for key, below in value.items()}
    return value


def test_deployers_policy_allows_what_the_commands_call() -> None:
    text = (DEPLOY / "deployer-policy.json").read_text()
    granted = {action for one in json.loads(text)["Statement"] for action in listed(one["Action"])}
    needed = {action for action in iam_actions().values() if action.split(":")[0] in ("cloudformation", "logs")}
    assert "cloudformation:CreateChangeSet" in needed and "logs:FilterLogEvents" in needed
    assert needed <= granted, needed - granted
