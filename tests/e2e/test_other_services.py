"""What do SDKs see that ask this endpoint for other services of AWS?"""

from __future__ import annotations


import pytest
from botocore.exceptions import ClientError
from harness import Server

# One service for each protocol, with a call.
CALLS = [
    ("dynamodb", "list_tables", {}),
    ("ssm", "get_parameter", {"Name": "x"}),
    ("sqs", "list_queues", {}),
    ("sns", "list_topics", {}),
    ("ec2", "describe_instances", {}),
    ("iam", "get_user", {}),
    ("lambda", "list_functions", {}),
    ("route53", "list_hosted_zones", {}),
    ("cloudfront", "list_distributions", {}),
    ("cloudwatch", "list_metrics", {}),
    ("sts", "get_session_token", {}),
]


def test_caller_is_the_owner(server: Server) -> None:
    told = server.client("sts").get_caller_identity()
    assert (told["Account"], told["Arn"]) == ("000000000000", "arn:aws:iam::000000000000:root")
    assert told["ResponseMetadata"]["RequestId"]


@pytest.mark.parametrize(("keys", "expected"), [(("AKIAOTHER", "x"), "InvalidClientTokenId"), ((None, "wrong"), "SignatureDoesNotMatch")])
def test_stranger_is_nobody(server: Server, keys: tuple, expected: str) -> None:
    client = server.client("sts", aws_access_key_id=keys[0] or server.key_pair[0], aws_secret_access_key=keys[1])
    with pytest.raises(ClientError) as refusal:
        client.get_caller_identity()
    assert refusal.value.response["Error"]["Code"] == expected
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(("service", "call", "arguments"), CALLS, ids=[call[0] for call in CALLS])
def test_absent_service_is_said_to_be_absent(server: Server, service: str, call: str, arguments: dict) -> None:
    with pytest.raises(ClientError) as refusal:
        getattr(server.client(service), call)(**arguments)
    answer = refusal.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("NotImplemented", 501)
    assert "implemented" in answer["Error"]["Message"] or "no service" in answer["Error"]["Message"]


def test_log_has_one_line_about_it(fresh_server: Server) -> None:
    fresh_server.environment["RUST_LOG"] = "debug"
    fresh_server.start()
    before = len(fresh_server.log().splitlines())
    with pytest.raises(ClientError):
        fresh_server.client("dynamodb").list_tables()
    lines = [line for line in fresh_server.log().splitlines()[before:] if "hyper" not in line]
    about = [line for line in lines if "dynamodb" in line]
    assert len(about) == 1 and "service that is not here" in about[0], lines
    assert not [line for line in lines if "s3s" in line], lines
