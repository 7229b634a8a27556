"""Do MediaConvert's other operations do what its SDK expects? Tags, policy, Probe, job queries, certificates, shares, versions."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server
from outputs import AAC, ROLE, fail, h264, output, run, settings, upload

FILM = Clip(width=320, height=180, rate="30000/1001", frames=90)
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-1111"


@pytest.fixture(scope="module")
def film(server: Server, clips: Clips) -> str:
    """The URL of a clip."""
    server.s3.create_bucket(Bucket="masters")
    return upload(server, clips.file(FILM), "film.mp4")


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Returns AWS's error code and the HTTP status."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_tags_can_change_and_end_with_their_resource(server: Server) -> None:
    client = server.mediaconvert
    arn = client.create_queue(Name="tagged/queue", Tags={"team": "día", "stage": "test"})["Queue"]["Arn"]
    listed = client.list_tags_for_resource(Arn=arn)["ResourceTags"]
    assert listed == {"Arn": arn, "Tags": {"team": "día", "stage": "test"}}
    client.tag_resource(Arn=arn, Tags={"stage": "live", "cost": "1"})
    client.untag_resource(Arn=arn, TagKeys=["team", "nothing"])
    assert client.list_tags_for_resource(Arn=arn)["ResourceTags"]["Tags"] == {"stage": "live", "cost": "1"}
    client.delete_queue(Name="tagged/queue")
    with pytest.raises(ClientError) as gone:
        client.list_tags_for_resource(Arn=arn)
    assert code(gone) == ("NotFoundException", 404)
    client.create_queue(Name="tagged/queue")
    assert client.list_tags_for_resource(Arn=arn)["ResourceTags"]["Tags"] == {}


def test_jobs_take_tags_and_wrong_arns_fail(server: Server, film: str) -> None:
    client = server.mediaconvert
    client.create_queue(Name="paused", Status="PAUSED")
    job = settings([{"FileInput": film}], [output("MP4", h264(), [AAC])], "s3://renditions/tags/x")
    arn = client.create_job(Role=ROLE, Settings=job, Queue="paused", Tags={"a": "b"})["Job"]["Arn"]
    assert client.list_tags_for_resource(Arn=arn)["ResourceTags"]["Tags"] == {"a": "b"}
    with pytest.raises(ClientError) as wrong:
        client.tag_resource(Arn="arn:aws:s3:::bucket", Tags={"a": "b"})
    assert code(wrong) == ("BadRequestException", 400)
    with pytest.raises(ClientError) as many:
        client.tag_resource(Arn=arn, Tags={f"k{number}": "v" for number in range(51)})
    assert code(many) == ("BadRequestException", 400)


def test_policy_blocks_inputs_until_deleted(server: Server, film: str) -> None:
    client = server.mediaconvert
    assert client.get_policy()["Policy"] == {"HttpInputs": "ALLOWED", "HttpsInputs": "ALLOWED", "S3Inputs": "ALLOWED"}
    put = client.put_policy(Policy={"S3Inputs": "DISALLOWED"})["Policy"]
    assert put == {"HttpInputs": "ALLOWED", "HttpsInputs": "ALLOWED", "S3Inputs": "DISALLOWED"}
    job = settings([{"FileInput": film}], [output("MP4", h264(), [AAC])], "s3://renditions/policy/x")
    failed = fail(server, job)
    assert failed["ErrorCode"] == 3457 and "s3Inputs" in failed["ErrorMessage"], failed
    client.delete_policy()
    assert client.get_policy()["Policy"]["S3Inputs"] == "ALLOWED"
    run(server, job)


def test_probe_describes_a_file(server: Server, film: str) -> None:
    (result,) = server.mediaconvert.probe(InputFiles=[{"FileUrl": film}])["ProbeResults"]
    container = result["Container"]
    assert container["Format"] == "mp4" and abs(container["Duration"] - 3.003) < 0.05
    video, audio = container["Tracks"]
    assert (video["TrackType"], video["Codec"], video["Index"]) == ("video", "AVC", 1)
    properties = video["VideoProperties"]
    assert (properties["Width"], properties["Height"], properties["BitDepth"]) == (320, 180, 8)
    assert properties["FrameRate"] == {"Numerator": 30000, "Denominator": 1001}
    assert (audio["TrackType"], audio["Codec"], audio["AudioProperties"]["SampleRate"]) == ("audio", "AAC", 48_000)
    assert result["TrackMappings"] == [{"VideoTrackIndexes": [1], "AudioTrackIndexes": [2], "DataTrackIndexes": []}]
    assert result["Metadata"]["FileSize"] > 1000 and result["Metadata"]["ETag"]


def test_probe_reports_what_is_wrong(server: Server, film: str) -> None:
    client = server.mediaconvert
    with pytest.raises(ClientError) as missing:
        client.probe(InputFiles=[{"FileUrl": "s3://masters/nothing.mp4"}])
    assert code(missing) == ("NotFoundException", 404)
    server.s3.put_object(Bucket="masters", Key="letter.mp4", Body=b"dear all")
    with pytest.raises(ClientError, match="letter.mp4") as letter:
        client.probe(InputFiles=[{"FileUrl": film}, {"FileUrl": "s3://masters/letter.mp4"}])
    assert code(letter) == ("UnprocessableEntityException", 422)
    for wrong in ([], [{}], [{"FileUrl": film}] * 11, [{"FileUrl": "file:///etc/passwd"}]):
        with pytest.raises(ClientError) as refused:
            client.probe(InputFiles=wrong)
        assert code(refused)[1] in (400, 422), wrong


def test_query_finds_jobs_that_match_all_filters(server: Server, film: str) -> None:
    client = server.mediaconvert
    job = settings([{"FileInput": film}], [output("MP4", None, [{"Codec": "FLAC", "FlacSettings": {}}])], "s3://renditions/queries/x")
    done = [run(server, job)["Id"] for _ in range(3)]
    missing = settings([{"FileInput": "s3://masters/none.mp4"}], [output("MP4", h264())], "s3://renditions/queries/y")
    failed = fail(server, missing)

    def found(*filters: tuple[str, list[str]], **more: object) -> list[str]:
        wanted = [{"Key": key, "Values": values} for key, values in filters]
        identity = client.start_jobs_query(FilterList=wanted, **more)["Id"]
        answer = client.get_jobs_query_results(Id=identity)
        assert answer["Status"] == "COMPLETE"
        return [one["Id"] for one in answer["Jobs"]]

    assert found(("audioCodec", ["FLAC"])) == done[::-1]
    assert found(("audioCodec", ["FLAC"]), Order="ASCENDING") == done
    assert found(("audioCodec", ["FLAC", "AAC"]), ("status", ["COMPLETE"]), ("fileInput", ["masters/film"]))[:3] == done[::-1]
    assert found(("status", ["ERROR"]), ("fileInput", ["none.mp4"])) == [failed["Id"]]
    assert found(("videoCodec", ["AV1"])) == []
    first = client.start_jobs_query(FilterList=[{"Key": "audioCodec", "Values": ["FLAC"]}], MaxResults=2)["Id"]
    page = client.get_jobs_query_results(Id=first)
    rest = client.start_jobs_query(FilterList=[{"Key": "audioCodec", "Values": ["FLAC"]}], NextToken=page["NextToken"])["Id"]
    last = client.get_jobs_query_results(Id=rest)
    assert [one["Id"] for one in page["Jobs"] + last["Jobs"]] == done[::-1] and "NextToken" not in last
    with pytest.raises(ClientError) as unknown:
        client.get_jobs_query_results(Id="nothing")
    assert code(unknown) == ("NotFoundException", 404)


def test_certificates_are_stored_and_shares_stay_initiated(server: Server, film: str) -> None:
    client = server.mediaconvert
    client.associate_certificate(Arn=CERTIFICATE)
    client.disassociate_certificate(Arn=CERTIFICATE)
    with pytest.raises(ClientError) as gone:
        client.disassociate_certificate(Arn=CERTIFICATE)
    assert code(gone) == ("NotFoundException", 404)
    with pytest.raises(ClientError) as wrong:
        client.associate_certificate(Arn="arn:aws:iam::1:role/r")
    assert code(wrong) == ("BadRequestException", 400)
    job = run(server, settings([{"FileInput": film}], [output("MP4", h264())], "s3://renditions/share/x"))
    client.create_resource_share(JobId=job["Id"], SupportCaseId="case-1")
    assert client.get_job(Id=job["Id"])["Job"]["ShareStatus"] == "INITIATED"
    with pytest.raises(ClientError) as nobody:
        client.create_resource_share(JobId="nobody", SupportCaseId="case-1")
    assert code(nobody) == ("NotFoundException", 404)


def test_one_version_is_listed(server: Server) -> None:
    pages = server.mediaconvert.get_paginator("list_versions").paginate()
    (version,) = [one for page in pages for one in page["Versions"]]
    assert version["Version"]


def test_unknown_queue_is_refused(server: Server, film: str) -> None:
    job = settings([{"FileInput": film}], [output("MP4", h264())], "s3://renditions/queue/x")
    with pytest.raises(ClientError, match="queues/nowhere") as unknown:
        server.mediaconvert.create_job(Role=ROLE, Settings=job, Queue="nowhere")
    assert code(unknown) == ("NotFoundException", 404)


def test_job_hops_out_of_a_paused_queue(server: Server, film: str) -> None:
    client = server.mediaconvert
    stuck = client.create_queue(Name="stuck", Status="PAUSED")["Queue"]["Arn"]
    job = settings([{"FileInput": film}], [output("MP4", h264())], "s3://renditions/hop/x")
    with pytest.raises(ClientError, match="/hopDestinations/0/queue"):
        client.create_job(Role=ROLE, Settings=job, Queue=stuck, HopDestinations=[{"Queue": "stuck", "WaitMinutes": 1}])
    hops = [{"Queue": "Default", "WaitMinutes": 1, "Priority": 9}]
    made = client.create_job(Role=ROLE, Settings=job, Queue=stuck, HopDestinations=hops)["Job"]
    # One minute is the shortest possible wait.
    done = server.wait_status(made["Id"])
    assert (done["Status"], done["Priority"]) == ("COMPLETE", 9)
    assert done["Queue"].endswith("queues/Default")
    (transition,) = done["QueueTransitions"]
    assert (transition["SourceQueue"], transition["DestinationQueue"]) == (stuck, done["Queue"])
    assert (transition["Timestamp"] - made["CreatedAt"]).total_seconds() >= 59
