"""Does a browser play a file output without a player library? A page loads it from the S3 endpoint, seeks, and plays to the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import chromium, play_film
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, h264, output, run, settings, streams, upload

FILM = Clip(width=320, height=180, frames=150)
OPUS = {"Codec": "OPUS", "OpusSettings": {"Bitrate": 96_000, "Channels": 2, "SampleRate": 48_000}}
VP9 = {"Codec": "VP9", "Vp9Settings": {"RateControlMode": "VBR", "Bitrate": 400_000, "MaxBitrate": 800_000}}
INDEX_LAST = {"Container": "MP4", "Mp4Settings": {"MoovPlacement": "NORMAL"}}
# The output that a job asks for, and the codecs that ffprobe must find in it before the browser plays it.
KINDS = {
    "mp4": (output("MP4", h264(), [AAC]), ["h264", "aac"]),
    "mp4-index-last": (output("MP4", h264(), [AAC], ContainerSettings=INDEX_LAST), ["h264", "aac"]),
    "webm": (output("WEBM", VP9, [OPUS]), ["vp9", "opus"]),
}


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


@pytest.mark.parametrize("kind", list(KINDS))
def test_browser_plays_the_file_to_its_end(masters: Server, clips: Clips, tmp_path: Path, kind: str) -> None:
    chromium()
    wish, codecs = KINDS[kind]
    source = {
        "FileInput": upload(masters, clips.file(FILM), "film.mp4"),
        "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}},
    }
    run(masters, settings([source], [wish | {"NameModifier": f"_{kind}"}], "s3://renditions/played/"))
    [key] = masters.keys(prefix=f"played/film_{kind}.")
    file = masters.download(key, tmp_path / "film")
    assert [stream["codec_name"] for stream in streams(file)] == codecs and decode_complaints(file) == ""
    url = masters.s3.generate_presigned_url("get_object", Params={"Bucket": "renditions", "Key": key})
    seen = play_film(url, tmp_path / "profile")
    assert seen["errors"] == [] and seen["ended"], seen
    assert (seen["width"], seen["height"], seen["corrupted"]) == (320, 180, 0), seen
    # Audio may end a packet after the video.
    assert abs(seen["duration"] - 6.0) < 0.05 and abs(seen["at"] - seen["duration"]) < 0.01, seen
    assert seen["soundBytes"] > 0 and seen["frames"] > 0, seen
    # Frames are shown in order: from the first ones to where playback was paused, then from the seek's target to the end.
    frame_seconds = 1 / 25
    shown, left, target = seen["shown"], seen["left"] + 2 * frame_seconds, seen["target"] - 1.5 * frame_seconds
    assert shown == sorted(shown) and shown[0] < 0.5, seen
    assert not [time for time in shown if left < time < target] and 5.5 < shown[-1] < 6.01, seen
