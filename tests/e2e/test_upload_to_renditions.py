"""Does an upload become its renditions? The clients know only S3 and MediaConvert, and nothing of abanico."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server, all_jobs, bucket_tables, eventually
from media_facts import facts
from transcoding import Expected, check_rendition

HD = Clip(width=1920, height=1080, rate="30000/1001", frames=45)
TINY = Clip(width=320, height=180, frames=25)


def expected(clip: Clip) -> Expected:
    """Returns what all renditions of a clip have in common."""
    return Expected(sizes={}, rate=Fraction(clip.rate), frames=clip.frames, has_sound=clip.has_sound)


def check_all(server: Server, prefix: str, clip: Clip, sizes: dict[str, tuple[int, int]], folder: Path) -> None:
    """Fails unless exactly the files in `sizes` (key ending → size) exist below `prefix` and each is right."""
    assert server.keys(prefix=prefix) == sorted(f"{prefix}{ending}" for ending in sizes)
    for ending, size in sizes.items():
        file = server.download(f"{prefix}{ending}", folder / "rendition.mp4")
        check_rendition(file, size, expected(clip))


def upload(server: Server, clip: Path, key: str) -> None:
    """Uploads a file as one object."""
    server.s3.put_object(Bucket="uploads", Key=key, Body=clip.read_bytes(), ContentType="video/mp4")


def padded(mp4: bytes, least: int) -> bytes:
    """Returns the same film with an empty box at its end, which makes it at least `least` bytes long."""
    size = max(8, least - len(mp4))
    return mp4 + size.to_bytes(4, "big") + b"free" + b"\0" * (size - 8)


def test_upload_gives_three_right_renditions(server: Server, clips: Clips, tmp_path: Path) -> None:
    upload(server, clips.file(HD), "films/holiday.mp4")
    job = server.wait_job("films/holiday.mp4")
    assert job["Status"] == "COMPLETE", job
    sizes = {"_1080p.mp4": (1920, 1080), "_720p.mp4": (1280, 720), "_480p.mp4": (854, 480)}
    check_all(server, "films/holiday.mp4/holiday", HD, sizes, tmp_path)
    head = server.s3.head_object(Bucket="renditions", Key="films/holiday.mp4/holiday_720p.mp4")
    assert head["ContentType"] == "video/mp4"


def test_job_lists_its_outputs_like_mediaconvert(server: Server, clips: Clips) -> None:
    upload(server, clips.file(TINY), "listed.mp4")
    job = server.wait_job("listed.mp4")
    (group,) = job["OutputGroupDetails"]
    (detail,) = group["OutputDetails"]
    assert detail["VideoDetails"] == {"WidthInPx": 320, "HeightInPx": 180}
    assert abs(detail["DurationInMs"] - 1000) <= 40
    assert job["UserMetadata"]["abanico.bucket"] == "uploads"
    assert job["Timing"]["SubmitTime"] <= job["Timing"]["StartTime"] <= job["Timing"]["FinishTime"]


@pytest.mark.parametrize(
    ("key", "stem"),
    [
        ("with space/my film.mp4", "my film"),
        ("1+1=2.mp4", "1+1=2"),
        ("año/niño & señora.mp4", "niño & señora"),
        ("日本語.mp4", "日本語"),
        ("party 🎉.mp4", "party 🎉"),
        ("a.b.mp4", "a.b"),
        ("100%25.mp4", "100%25"),
    ],
)
def test_strange_key_keeps_its_name(key: str, stem: str, server: Server, clips: Clips) -> None:
    upload(server, clips.file(TINY), key)
    job = server.wait_job(key)
    assert job["Status"] == "COMPLETE", job
    assert server.keys(prefix=f"{key}/") == [f"{key}/{stem}_480p.mp4"]


def test_only_names_of_media_become_jobs(server: Server, clips: Clips) -> None:
    for key in ("named/note.txt", "named/film.mp4.part", "named/no_ending", "named/mp4"):
        server.s3.put_object(Bucket="uploads", Key=key, Body=b"text")
    # Events are handled in order: once the later upload is done, the earlier ones have been handled too.
    upload(server, clips.file(TINY), "named/LATER.MP4")
    assert server.wait_job("named/LATER.MP4")["Status"] == "COMPLETE"
    keys = [job["UserMetadata"].get("abanico.key", "") for job in all_jobs(server.mediaconvert)]
    assert [key for key in keys if key.startswith("named/")] == ["named/LATER.MP4"]
    assert "only keys that end with" in server.log()


@pytest.mark.parametrize(("suffix", "wanted"), [('""', {"a.bin", "b.mp4", "c"}), ('[".BIN", ".mkv"]', {"a.bin"})], ids=["all", "some"])
def test_trigger_takes_the_suffixes_that_it_is_given(suffix: str, wanted: set[str], fresh_server: Server, clips: Clips) -> None:
    buckets = bucket_tables("uploads", "renditions")
    fresh_server.config = f'{buckets}[[trigger]]\nid = "t"\nbucket = "uploads"\nsuffix = {suffix}\n'
    fresh_server.start()
    for key in ("c", "b.mp4", "a.bin"):
        upload(fresh_server, clips.file(TINY), key)
    assert {key: fresh_server.wait_job(key)["Status"] for key in wanted} == dict.fromkeys(wanted, "COMPLETE")
    assert len(all_jobs(fresh_server.mediaconvert)) == len(wanted)


def test_uploads_with_one_stem_stay_apart(server: Server, clips: Clips, tmp_path: Path) -> None:
    longer = Clip(width=320, height=180, frames=50, ending="mov")
    upload(server, clips.file(TINY), "same/a.mp4")
    upload(server, clips.file(longer), "same/a.mov")
    assert [server.wait_job(f"same/a.{ending}")["Status"] for ending in ("mp4", "mov")] == ["COMPLETE"] * 2
    check_all(server, "same/a.mp4/", TINY, {"a_480p.mp4": (320, 180)}, tmp_path)
    check_all(server, "same/a.mov/", longer, {"a_480p.mp4": (320, 180)}, tmp_path)


def test_folder_marker_starts_no_job(server: Server, clips: Clips) -> None:
    server.s3.put_object(Bucket="uploads", Key="marked/", Body=b"")
    # Events are handled in order: once the later upload is done, the marker's event has been handled too.
    upload(server, clips.file(TINY), "marked/later.mp4")
    assert server.wait_job("marked/later.mp4")["Status"] == "COMPLETE"
    assert server.jobs_of("marked/") == []


def test_upload_without_video_is_a_visible_error(server: Server) -> None:
    server.s3.put_object(Bucket="uploads", Key="notes.mp4", Body=b"no video in here\n" * 100)
    job = server.wait_job("notes.mp4")
    assert (job["Status"], job["ErrorCode"]) == ("ERROR", 1010)
    assert job["ErrorMessage"].startswith("Unable to open input file [s3://uploads/notes.mp4]")
    assert server.keys(prefix="notes.mp4") == []
    assert len(server.jobs_of("notes.mp4")) == 1, "a job that cannot succeed must not be retried"


def test_small_source_is_not_enlarged(server: Server, clips: Clips, tmp_path: Path) -> None:
    small = Clip(width=640, height=360, frames=50)
    upload(server, clips.file(small), "small.mp4")
    server.wait_job("small.mp4")
    check_all(server, "small.mp4/small", small, {"_480p.mp4": (640, 360)}, tmp_path)


def test_portrait_stays_portrait(server: Server, clips: Clips, tmp_path: Path) -> None:
    portrait = Clip(width=720, height=1280, frames=40)
    upload(server, clips.file(portrait), "portrait.mp4")
    server.wait_job("portrait.mp4")
    sizes = {"_720p.mp4": (720, 1280), "_480p.mp4": (480, 854)}
    check_all(server, "portrait.mp4/portrait", portrait, sizes, tmp_path)


def test_silent_source_stays_silent(server: Server, clips: Clips, tmp_path: Path) -> None:
    silent = Clip(width=320, height=180, frames=30, has_sound=False)
    upload(server, clips.file(silent), "silent.mp4")
    assert server.wait_job("silent.mp4")["Status"] == "COMPLETE"
    check_all(server, "silent.mp4/", silent, {"silent_480p.mp4": (320, 180)}, tmp_path)


def test_multipart_upload_triggers_a_job(server: Server, clips: Clips, tmp_path: Path) -> None:
    cut = 5 * 1024 * 1024
    whole = padded(clips.file(HD).read_bytes(), cut + 1000)
    place = {"Bucket": "uploads", "Key": "in parts.mp4"}
    upload_id = server.s3.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, body in ((3, whole[:cut]), (7, whole[cut:])):
        answer = server.s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    assert server.jobs_of("in parts.mp4") == [], "parts alone must not start a job"
    server.s3.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert server.wait_job("in parts.mp4")["Status"] == "COMPLETE"
    made = server.download("in parts.mp4/in parts_480p.mp4", tmp_path / "made.mp4")
    assert facts(made).frames == HD.frames


def test_copy_triggers_a_job(server: Server, clips: Clips) -> None:
    server.s3.create_bucket(Bucket="attic")
    server.s3.put_object(Bucket="attic", Key="old film.mp4", Body=clips.file(TINY).read_bytes())
    source = {"Bucket": "attic", "Key": "old film.mp4"}
    server.s3.copy_object(Bucket="uploads", Key="copied.mp4", CopySource=source)
    assert server.wait_job("copied.mp4")["Status"] == "COMPLETE"
    assert server.jobs_of("old film.mp4", bucket="attic") == [], "only uploads to the trigger's bucket start jobs"


def test_second_upload_of_a_key_starts_another_job(server: Server, clips: Clips, tmp_path: Path) -> None:
    upload(server, clips.file(TINY), "twice.mp4")
    first = server.wait_job("twice.mp4")
    longer = Clip(width=320, height=180, frames=60)
    upload(server, clips.file(longer), "twice.mp4")
    second = server.wait_job("twice.mp4", count=2)
    assert first["Id"] != second["Id"] and second["Status"] == "COMPLETE"
    check_all(server, "twice.mp4/", longer, {"twice_480p.mp4": (320, 180)}, tmp_path)


def test_stop_is_clean_and_leaves_no_process(fresh_server: Server, clips: Clips) -> None:
    fresh_server.start()
    upload(fresh_server, clips.file(TINY), "last.mp4")
    fresh_server.wait_job("last.mp4")
    assert fresh_server.exports["AWS_ENDPOINT_URL"] == fresh_server.endpoint
    assert fresh_server.exports["AWS_REGION"] == "us-east-1"
    assert fresh_server.stop() == 0
    eventually(lambda: fresh_server.leftovers() == [], 2, "no process is left")


def test_uploads_and_outputs_survive_a_restart(fresh_server: Server, clips: Clips) -> None:
    fresh_server.start()
    upload(fresh_server, clips.file(TINY), "kept.mp4")
    fresh_server.wait_job("kept.mp4")
    fresh_server.stop()
    fresh_server.start()
    assert fresh_server.keys() == ["kept.mp4/kept_480p.mp4"]
    (job,) = fresh_server.jobs_of("kept.mp4")
    assert job["Status"] == "COMPLETE", "the scan at startup must not create a second job"
    with pytest.raises(ClientError, match="404"):
        fresh_server.s3.head_object(Bucket="renditions", Key="never.mp4")
