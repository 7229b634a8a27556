"""Are the right frames captured, in the right number, with the right sizes and names? Includes the AWS deployment's own job."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import WORKSPACE, Server

ROLE = "arn:aws:iam::000000000000:role/r"
# Seven seconds: images at 0, 3 and 6 s.
FILM = Clip(width=640, height=360, rate="30000/1001", frames=210)


def capture(name: str, settings: dict, **video: object) -> dict:
    """Returns an output of images."""
    codec = {"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": settings}
    return {
        "NameModifier": name,
        "ContainerSettings": {"Container": "RAW"},
        "VideoDescription": {"CodecSettings": codec, **video},
    }


def video(name: str) -> dict:
    """Returns a video output, which a job needs in addition to its frame captures."""
    preset = "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps"
    return {"NameModifier": name, "Preset": preset, "Extension": "mp4"}


def submit(server: Server, clip: Path, prefix: str, outputs: list[dict]) -> dict:
    """Runs a job with these outputs until it ends."""
    server.s3.put_object(Bucket="captures", Key=f"{prefix}.mp4", Body=clip.read_bytes())
    settings = {
        "Inputs": [{"FileInput": f"s3://captures/{prefix}.mp4"}],
        "OutputGroups": [
            {
                "OutputGroupSettings": {
                    "Type": "FILE_GROUP_SETTINGS",
                    "FileGroupSettings": {"Destination": f"s3://renditions/{prefix}/"},
                },
                "Outputs": outputs,
            }
        ],
    }
    job = server.mediaconvert.create_job(Role=ROLE, Settings=settings)["Job"]
    return server.wait_status(job["Id"])


@pytest.fixture(scope="module")
def captures(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="captures")
    return server


def image_size(file: Path) -> tuple[int, int]:
    """Returns width and height as ffprobe reads them."""
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", str(file)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip().split(",")
    assert out[0] == "mjpeg"
    return int(out[1]), int(out[2])


def likeness(image: Path, film: Path, second: float) -> float:
    """Returns the SSIM of an image and the film's frame at `second`."""
    graph = "[0:v]scale=640:360,format=yuv420p[a];[1:v]scale=640:360,format=yuv420p[b];[a][b]ssim"
    command = ["ffmpeg", "-hide_banner", "-i", str(image), "-ss", str(second), "-i", str(film), "-frames:v", "1"]
    done = subprocess.run(
        [*command, "-lavfi", graph, "-f", "null", "-"], check=True, capture_output=True, text=True, timeout=60
    )
    return float(done.stderr.rsplit("All:", 1)[1].split()[0])


def test_each_image_is_the_frame_at_its_time(captures: Server, clips: Clips, tmp_path: Path) -> None:
    film = clips.file(FILM)
    settings = {"FramerateNumerator": 1, "FramerateDenominator": 3, "Quality": 90}
    job = submit(captures, film, "moments", [video("_v"), capture("_thumb", settings, Width=320, Height=180)])
    assert job["Status"] == "COMPLETE", job
    names = [f"moments/moments_thumb.000000{number}.jpg" for number in range(3)]
    assert captures.keys(prefix="moments/") == sorted([*names, "moments/moments_v.mp4"])
    head = captures.s3.head_object(Bucket="renditions", Key=names[0])
    assert head["ContentType"] == "image/jpeg"
    for number, name in enumerate(names):
        image = captures.download(name, tmp_path / "x.jpg")
        assert image_size(image) == (320, 180)
        right, wrong = likeness(image, film, 3 * number), likeness(image, film, (3 * number + 1.5) % 6)
        assert right > wrong, f"image {number}: {right} at its own time, {wrong} at another"


def test_max_captures_limits_the_images(captures: Server, clips: Clips) -> None:
    settings = {"FramerateNumerator": 2, "FramerateDenominator": 1, "MaxCaptures": 4}
    job = submit(captures, clips.file(FILM), "bounded", [video("_v"), capture("_t", settings)])
    assert job["Status"] == "COMPLETE", job
    assert [key for key in captures.keys(prefix="bounded/") if key.endswith("jpg")] == [
        f"bounded/bounded_t.000000{number}.jpg" for number in range(4)
    ]


def test_higher_image_quality_takes_more_bytes(captures: Server, clips: Clips) -> None:
    outputs = [video("_v"), *(capture(f"_q{quality}", {"Quality": quality}) for quality in (10, 50, 95))]
    job = submit(captures, clips.file(FILM), "quality", outputs)
    assert job["Status"] == "COMPLETE", job
    sizes = [
        captures.s3.head_object(Bucket="renditions", Key=f"quality/quality_q{quality}.0000000.jpg")["ContentLength"]
        for quality in (10, 50, 95)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


def test_frame_captures_alone_are_refused(captures: Server, clips: Clips) -> None:
    with pytest.raises(ClientError, match="frame captures alone"):
        submit(captures, clips.file(FILM), "alone", [capture("_t", {})])


def test_aws_deployments_thumbnail_job_runs_here(captures: Server, clips: Clips, tmp_path: Path) -> None:
    from harness import binary

    job = WORKSPACE / "deploy" / "jobs" / "thumbnails.json"
    command = [str(binary()), "transcode", str(clips.file(FILM)), "--job", str(job), "--out", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    paths = [Path(event["path"]) for event in events if event["type"] == "output"]
    assert [path.suffix for path in paths] == [".mp4", ".jpg"]
    assert image_size(paths[1]) == (640, 360)
