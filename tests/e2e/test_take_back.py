"""Are a job's outputs visible together or not at all, and does what stood there before stand there again?

Jobs are cancelled in every phase and the server is killed while it publishes; the destination has outputs of an earlier job.
In: clips, a server with its own buckets, and a second server as a remote S3. Never anything that looks into the index.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import FINAL, Server, bucket_tables, eventually
from outputs import ROLE, h264, output, settings, upload

SEED = 20_261_130
TRIES = 18
KILLS = 8
# Many small files take long to publish, compared with their encode.
SOURCE = Clip(width=160, height=90, frames=150)
PLACE = "taken/back/film"


def hls(source: str, destination: str, seconds: int = 1) -> dict:
    """A job with two streams of short segments and one file at the same place."""
    codec = h264(RateControlMode="CBR", Bitrate=200_000, GopSize=1, GopSizeUnits="SECONDS")
    streams = [output("M3U8", codec, [], NameModifier=f"_{name}") for name in ("one", "two")]
    group = {
        "Name": "hls",
        "Outputs": streams,
        "OutputGroupSettings": {
            "Type": "HLS_GROUP_SETTINGS",
            "HlsGroupSettings": {"Destination": destination, "SegmentLength": seconds, "MinSegmentLength": 0},
        },
    }
    job = settings([{"FileInput": source}], [output("MP4", codec, [], NameModifier="_file")], destination)
    job["OutputGroups"].append(group)
    return job


def standing(server: Server, bucket: str, prefix: str = "taken/") -> dict[str, tuple]:
    """Everything at the destination: bytes, ETag, type and metadata of each key."""
    found = {}
    for key in server.keys(bucket, prefix):
        try:
            answer = server.s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            # Listed a moment ago, and taken back since: the caller asks again.
            found[key] = (error.response["Error"]["Code"],)
            continue
        found[key] = (answer["Body"].read(), answer["ETag"], answer["ContentType"], tuple(sorted(answer["Metadata"].items())))
    return found


def without_etags(all_of: dict[str, tuple]) -> dict[str, tuple]:
    """A remote S3 gets a replaced object back with its bytes and attributes, but perhaps with another ETag."""
    return {key: (facts[0], *facts[2:]) for key, facts in all_of.items()}


def owners(all_of: dict[str, tuple]) -> set[str]:
    """The jobs that the objects say they are of."""
    return {dict(facts[3]).get("abanico-job", "") for facts in all_of.values()}


def first_job(server: Server, source: str, destination: str, bucket: str) -> tuple[str, dict[str, tuple]]:
    """Runs a job to its end, and puts one file of somebody else beside its outputs and one in place of an output."""
    identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination, 2))["Job"]["Id"]
    assert server.wait_status(identity)["Status"] == "COMPLETE"
    server_of = server.s3
    server_of.put_object(Bucket=bucket, Key="taken/back/mine.txt", Body=b"mine", ContentType="text/plain")
    server_of.put_object(Bucket=bucket, Key=f"{PLACE}_file.mp4", Body=b"mine too", Metadata={"who": "me"})
    return identity, standing(server, bucket)


def cancel_at(server: Server, identity: str, pause_s: float, phase: str | None) -> bool:
    """Waits for a phase, then for `pause_s`, and cancels. Says whether the server agreed."""
    if phase is not None:

        def is_there() -> bool:
            job = server.mediaconvert.get_job(Id=identity)["Job"]
            return job.get("CurrentPhase") == phase or job["Status"] in FINAL

        eventually(is_there, 120, f"{identity} in {phase}")
    # This waits for no event: the random moment is the point of the test.
    time.sleep(pause_s)
    try:
        server.mediaconvert.cancel_job(Id=identity)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ConflictException", error
        return False
    return True


def test_cancelled_jobs_leave_what_stood_there(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    server.s3.create_bucket(Bucket="masters")
    source = upload(server, clips.file(SOURCE), "cancelled.mp4")
    destination = f"s3://renditions/{PLACE}"
    _, before = first_job(server, source, destination, "renditions")
    moments = random.Random(SEED)
    endings = {"CANCELED": 0, "COMPLETE": 0}
    phases = [None, "PROBING", "TRANSCODING", *["UPLOADING"] * (TRIES - 3)]
    for phase in phases:
        identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination))["Job"]["Id"]
        was_agreed = cancel_at(server, identity, moments.random() * 0.1, phase)
        status = server.wait_status(identity)["Status"]
        endings[status] += 1
        assert status == ("CANCELED" if was_agreed else "COMPLETE"), (phase, was_agreed)
        after = standing(server, "renditions")
        if status == "CANCELED":
            assert after == before, phase
        else:
            assert after["taken/back/mine.txt"] == before["taken/back/mine.txt"]
            renewed = {key: facts for key, facts in after.items() if dict(facts[3]).get("abanico-job") == identity}
            # The earlier job's longer segments have other names from their number on; those of this one are all there.
            assert len(renewed) == 1 + 1 + 2 * (6 + 1), sorted(renewed)
            before = after
    assert endings["CANCELED"] >= 3, endings
    assert server.keys("renditions", ".abanico") == []
    assert not list((server.data / "engine" / "work").iterdir())


def test_kill_while_publishing_leaves_one_whole_set(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    server.s3.create_bucket(Bucket="masters")
    source = upload(server, clips.file(SOURCE), "killed.mp4")
    destination = f"s3://renditions/{PLACE}"
    _, before = first_job(server, source, destination, "renditions")
    moments = random.Random(SEED + 1)
    for number in range(KILLS):
        identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination))["Job"]["Id"]
        cancels = number % 2 == 1
        if cancels:
            was_agreed = cancel_at(server, identity, moments.random() * 0.05, "UPLOADING")
        else:
            was_agreed = False
            eventually(lambda: server.mediaconvert.get_job(Id=identity)["Job"].get("CurrentPhase") == "UPLOADING"
                       or server.mediaconvert.get_job(Id=identity)["Job"]["Status"] in FINAL, 120, "UPLOADING")  # fmt: skip
            time.sleep(moments.random() * 0.15)
        server.kill()
        server.start()
        status = server.wait_status(identity)["Status"]
        assert status == ("CANCELED" if was_agreed else "COMPLETE"), number
        after = standing(server, "renditions")
        if status == "CANCELED":
            assert after == before, number
        else:
            assert f"{PLACE}_one_00005.ts" in after and after[f"{PLACE}_file.mp4"][0] != b"mine too"
            assert identity in owners(after)
            before = after
    eventually(lambda: not list((server.data / "engine" / "work").iterdir()), 10, "no work folder is left")


def test_jobs_of_one_destination_replace_each_other_whole(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    server.s3.create_bucket(Bucket="masters")
    source = upload(server, clips.file(SOURCE), "both.mp4")
    destination = f"s3://renditions/{PLACE}"
    job = hls(source, destination)
    identities = [server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]["Id"] for _ in range(4)]
    agreed = cancel_at(server, identities[1], 0, "UPLOADING")
    ended = {identity: server.wait_status(identity)["Status"] for identity in identities}
    assert ended[identities[1]] == ("CANCELED" if agreed else "COMPLETE")
    found = standing(server, "renditions")
    # A file, a playlist of both streams, and six segments and a playlist of each.
    assert len(found) == 1 + 1 + 2 * (6 + 1), sorted(found)
    assert len(owners(found)) == 1 and owners(found) <= {one for one, status in ended.items() if status == "COMPLETE"}


@pytest.fixture
def remote(tmp_path: Path):
    """A second server, which the first uses as a remote S3."""
    server = Server(tmp_path / "remote").start()
    server.s3.create_bucket(Bucket="elsewhere")
    yield server
    server.end()


def test_outputs_on_a_remote_s3_are_taken_back(remote: Server, tmp_path: Path, clips: Clips) -> None:
    config = bucket_tables("uploads", "renditions", "masters") + bucket_tables("elsewhere", remote=remote.endpoint)
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), remote.key_pair, strict=True))
    server = Server(tmp_path / "local", config=config, environment=keys).start()
    try:
        source = upload(server, clips.file(SOURCE), "remote.mp4")
        destination = f"s3://elsewhere/{PLACE}"
        identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination, 2))["Job"]["Id"]
        done = server.wait_status(identity)
        assert done["Status"] == "COMPLETE", done
        body = {"Body": b"mine too", "Metadata": {"who": "me"}, "ContentType": "text/plain"}
        remote.s3.put_object(Bucket="elsewhere", Key=f"{PLACE}_file.mp4", **body)
        before = standing(remote, "elsewhere")
        moments = random.Random(SEED + 2)
        cancelled = 0
        for number in range(8):
            identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination))["Job"]["Id"]
            was_agreed = cancel_at(server, identity, moments.random() * 0.4, "UPLOADING")
            if number % 2 == 1:
                server.kill()
                server.start()
            status = server.wait_status(identity)["Status"]
            assert status == ("CANCELED" if was_agreed else "COMPLETE"), number
            after = standing(remote, "elsewhere")
            if status == "CANCELED":
                cancelled += 1
                assert without_etags(after) == without_etags(before), number
            else:
                before = after
        assert cancelled >= 2
    finally:
        server.end()


def test_dollar_signs_in_keys_are_literal(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    body = clips.file(SOURCE).read_bytes()
    names = ["$dt$.mp4", "$d$.mp4", "$fn$.mp4", "a$$b.mp4", "$t$/5$.mp4"]
    for name in names:
        server.s3.put_object(Bucket="uploads", Key=name, Body=body)
    for name in names:
        job = server.wait_job(name)
        assert job["Status"] == "COMPLETE", (name, job)
        stem = name.rpartition("/")[2].removesuffix(".mp4")
        keys = server.keys(prefix=f"{name}/")
        assert keys and all(key.startswith(f"{name}/{stem}_") for key in keys), (name, server.keys())
    assert len(server.keys()) == len(names) * len(keys)


def test_bad_destinations_are_refused_at_once(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    server.s3.create_bucket(Bucket="masters")
    source = upload(server, clips.file(SOURCE), "bad.mp4")
    for destination in ["s3://renditions", "s3://UPPER/x/", "s3://renditions/../x/", "s3://renditions/a\u0007/",
                        f"s3://renditions/{'a' * 1025}/", "s3://no-such-bucket/x"]:  # fmt: skip
        with pytest.raises(ClientError) as refused:
            server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, destination))
        assert refused.value.response["Error"]["Code"] == "BadRequestException", destination
        assert "fileGroupSettings/destination" in str(refused.value), destination
    # Only the plan knows the names of all files.
    identity = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, f"s3://renditions/{'ü' * 508}"))["Job"]["Id"]
    failed = server.wait_status(identity)
    assert (failed["Status"], failed["ErrorCode"]) == ("ERROR", 1040), failed


def test_bucket_removed_while_a_job_waits_fails_before_the_encode(fresh_server: Server, clips: Clips) -> None:
    server = fresh_server.start()
    for bucket in ("masters", "soon-gone"):
        server.s3.create_bucket(Bucket=bucket)
    source = upload(server, clips.file(SOURCE), "gone.mp4")
    server.mediaconvert.create_queue(Name="later", Status="PAUSED")
    job = server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, "s3://soon-gone/x"), Queue="later")["Job"]["Id"]
    server.s3.delete_bucket(Bucket="soon-gone")
    server.mediaconvert.update_queue(Name="later", Status="ACTIVE")
    failed = server.wait_status(job)
    assert (failed["Status"], failed["ErrorCode"]) == ("ERROR", 1404), failed


def test_remote_destination_is_refused_without_bucket_or_credentials(remote: Server, tmp_path: Path, clips: Clips) -> None:
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), remote.key_pair, strict=True))
    # Nobody answers there, as on most machines.
    nothing = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
    for name, environment, bucket, why in [
        ("keys", keys, "not-there", "the bucket does not exist"),
        ("nothing", nothing, "elsewhere", "no credentials"),
    ]:
        config = bucket_tables("uploads", "renditions", "masters") + bucket_tables(bucket, remote=remote.endpoint)
        server = Server(tmp_path / name, config=config, environment=environment).start()
        try:
            source = upload(server, clips.file(SOURCE), "remote.mp4")
            with pytest.raises(ClientError) as refused:
                server.mediaconvert.create_job(Role=ROLE, Settings=hls(source, f"s3://{bucket}/{PLACE}"))
            assert refused.value.response["Error"]["Code"] == "BadRequestException", name
            assert "fileGroupSettings/destination" in str(refused.value) and why in str(refused.value), refused.value
        finally:
            server.end()
    assert remote.s3.list_multipart_uploads(Bucket="elsewhere").get("Uploads", []) == []
