"""Is the deployment's template sound, and do its roles allow what the functions call and nothing else?"""

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
DOCS = WORKSPACE / "docs" / "AWS.md"
# Sources of each function, and the role of the template that it runs under.
FUNCTIONS = {
    "TranscodeVideoRole": ["transcode_video.rs"],
    "JobFinishedRole": ["job_finished.rs"],
    "BucketNotificationRole": ["bucket_notification.rs"],
}
# What the services themselves do in a function's name: Lambda writes logs and sends what failed to the queue, and who
# submits a job hands the job's role on.
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


def client_methods() -> dict[str, str]:
    """Methods of the clients in crates/aws, with the IAM action of the operation that each sends."""
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
    """Operations of crates/aws and the actions that they need."""
    text = (CRATES / "aws" / "src" / "operation.rs").read_text().split("fn iam_action")[1]
    actions = {}
    for names, action in re.findall(r"((?:Self::\w+\s*\|?\s*)+)=> \"([a-z0-9]+:\w+)\"", text):
        actions |= dict.fromkeys(re.findall(r"Self::(\w+)", names), action)
    return actions


def called(sources: list[str]) -> set[str]:
    """Actions that the code of a function calls."""
    methods = client_methods()
    found = set()
    for source in sources:
        text = (CRATES / "functions" / "src" / source).read_text().split("#[cfg(test)]")[0]
        found |= {action for name, action in methods.items() if re.search(rf"\.{name}\(", text)}
    return found


def allowed(role: dict) -> set[str]:
    """Actions that a role allows."""
    return {action for one in statements(role) for action in listed(one["Action"])}


def expected(role: str) -> set[str]:
    """What a role must allow: the code's calls and what the services do in its name."""
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
def test_does_each_function_have_the_rights_that_its_code_needs_and_no_more(role: str) -> None:
    assert allowed(template()["Resources"][role]) == expected(role)


def test_does_the_check_see_the_calls() -> None:
    assert called(["transcode_video.rs"]) == {"mediaconvert:CreateJob", "sqs:SendMessage"}
    assert called(["job_finished.rs"]) == {"mediaconvert:GetJob", "s3:GetObject", "s3:PutObject", "sns:Publish"}


def test_does_no_right_reach_further_than_it_must() -> None:
    for name, resource in template()["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        assert "ManagedPolicyArns" not in resource["Properties"], name
        for statement in statements(resource):
            assert all("*" not in action for action in listed(statement["Action"])), (name, statement)
            for place in listed(statement["Resource"]):
                assert place != "*", (name, statement)
                text = json.dumps(place)
                # A star stands only for what is inside of a named bucket, account, region or log group.
                before = text.split("*")[0]
                assert any(part in before for part in ("${Bucket}", "${AWS::AccountId}", "GetAtt", "Ref")), place


def test_is_the_jobs_role_handed_to_mediaconvert_alone() -> None:
    resources = template()["Resources"]
    (handed,) = [one for one in statements(resources["TranscodeVideoRole"]) if one["Action"] == "iam:PassRole"]
    assert handed["Resource"] == {"Fn::GetAtt": ["MediaConvertRole", "Arn"]}
    assert handed["Condition"] == {"StringEquals": {"iam:PassedToService": "mediaconvert.amazonaws.com"}}
    (trust,) = resources["MediaConvertRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    assert allowed(resources["MediaConvertRole"]) == {"s3:GetObject", "s3:PutObject"}


def test_is_the_template_clean_for_cfn_lint() -> None:
    lint = Path(sys.executable).with_name("cfn-lint")
    command = [str(lint), "--non-zero-exit-code", "informational", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_do_the_buckets_keep_out_what_they_must() -> None:
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


def test_does_the_deployers_policy_cover_every_kind_of_resource() -> None:
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
def test_is_each_job_file_a_request_that_the_sdk_takes(job: str) -> None:
    request = json.loads((WORKSPACE / "deploy" / "jobs" / f"{job}.json").read_text())
    shape = botocore.session.get_session().get_service_model("mediaconvert").shape_for("CreateJobRequest")
    report = ParamValidator().validate(_pascal(request, shape) | {"Role": "arn:aws:iam::111122223333:role/r"}, shape)
    assert not report.has_errors(), report.generate_report()


def test_is_every_parameter_documented() -> None:
    text = DOCS.read_text()
    for name, parameter in template()["Parameters"].items():
        default = parameter.get("Default", "needed")
        assert re.search(rf"\| `{name}` \| {re.escape(_shown(default))} \|", text), name


def _shown(default: object) -> str:
    if default == "needed":
        return "needed"
    return f"`{default}`" if default != "" else "empty"


def _pascal(value: object, shape: object) -> object:
    """Wire names as the SDK's; keys of maps stay."""
    if shape.type_name == "structure":
        names = {name[0].lower() + name[1:]: name for name in shape.members}
        return {names[key]: _pascal(below, shape.members[names[key]]) for key, below in value.items()}
    if shape.type_name == "list":
        return [_pascal(one, shape.member) for one in value]
    if shape.type_name == "map":
        return {key: _pascal(below, shape.value) for key, below in value.items()}
    return value
