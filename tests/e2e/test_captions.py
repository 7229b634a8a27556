"""Do captions appear where and when the job asks? Checks the finished files, their frames, and a player."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from browser import browser, play
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, fail, h264, output, refuse, run, settings, streams, upload
from test_hls import download, rung

FILM = Clip(width=640, height=360, rate="30000/1001", frames=300)
SRT = """\ufeff1
00:00:01,000 --> 00:00:03,000
<i>¿Qué tal?</i>

2
00:00:04,500 --> 00:00:06,000
Dos líneas
{\\an8}y otra & más

3
00:00:08,000 --> 00:00:30,000
Hasta el final
"""
NAME = "Captions Selector 1"


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


def captioned(server: Server, clips: Clips, text: str = SRT, kind: str = "SRT", **source: object) -> dict:
    """Uploads a film and its captions and returns an input with a caption selector."""
    server.s3.put_object(Bucket="masters", Key="captions/texto.srt", Body=text.encode())
    url = upload(server, clips.file(FILM), "captions/film.mp4")
    file = {"SourceFile": "s3://masters/captions/texto.srt", **source}
    selector = {"LanguageCode": "SPA", "SourceSettings": {"SourceType": kind, "FileSourceSettings": file}}
    return {
        "FileInput": url,
        "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}},
        "CaptionSelectors": {NAME: selector},
    }


def description(kind: str, **members: object) -> dict:
    """Returns one caption description."""
    own = {"BURN_IN": "BurninDestinationSettings", "SRT": "SrtDestinationSettings", "WEBVTT": "WebvttDestinationSettings"}[kind]
    return {"CaptionSelectorName": NAME, "DestinationSettings": {"DestinationType": kind, own: members}}


def sidecar(kind: str, name: str, **members: object) -> dict:
    """Returns an output with captions only."""
    return {
        "ContainerSettings": {"Container": "RAW"},
        "NameModifier": name,
        "CaptionDescriptions": [description(kind, **members)],
    }


def made(server: Server, key: str) -> str:
    """Returns the text of a file that a job made."""
    return server.s3.get_object(Bucket="renditions", Key=key)["Body"].read().decode()


def test_sidecars_follow_the_outputs_clock(masters: Server, clips: Clips) -> None:
    source = captioned(masters, clips, TimeDelta=-500, TimeDeltaUnits="MILLISECONDS")
    source |= {"TimecodeSource": "ZEROBASED", "InputClippings": [{"StartTimecode": "00:00:02:00", "EndTimecode": "00:00:08:00"}]}
    outputs = [output("MP4", h264(), NameModifier="_v"), sidecar("SRT", "_s"), sidecar("WEBVTT", "_w", StylePassthrough="ENABLED")]
    job = run(masters, settings([source], outputs, "s3://renditions/sidecar/a"))
    assert len(job["OutputGroupDetails"][0]["OutputDetails"]) == 3
    # The first cue moves to 0.5 to 2.5 s. It is shown from the clip's start, which is at 60 frames of 1001/30000 s, that is
    # 2.002 s. The clip's last frame is the one at its end timecode.
    expected = (
        "1\n00:00:00,000 --> 00:00:00,498\n¿Qué tal?\n\n"
        "2\n00:00:01,998 --> 00:00:03,498\nDos líneas\ny otra & más\n\n"
        "3\n00:00:05,498 --> 00:00:06,039\nHasta el final\n"
    )
    assert made(masters, "sidecar/a_s.srt").strip() == expected.strip()
    text = made(masters, "sidecar/a_w.vtt")
    assert text.startswith("WEBVTT") and "<i>¿Qué tal?</i>" in text and "y otra &amp; más" in text
    assert "00:00:05.498 --> 00:00:06.039" in text or "00:05.498 --> 00:06.039" in text
    head = masters.s3.head_object(Bucket="renditions", Key="sidecar/a_w.vtt")
    assert head["ContentType"] == "text/vtt"


def white_rows(file: Path, at: str) -> list[int]:
    """Returns the rows of the frame at time `at` that contain letters: pixels brighter than anything in a dark film."""
    command = ["ffmpeg", "-v", "error", "-ss", at, "-i", str(file), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    frame = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    width, height = streams(file)[0]["width"], streams(file)[0]["height"]
    return [row for row in range(height) if sum(pixel > 150 for pixel in frame[row * width : (row + 1) * width]) > 5]


def test_captions_are_burnt_only_into_their_outputs(masters: Server, clips: Clips, tmp_path: Path) -> None:
    # A dark film, so that only letters are white.
    dark = Clip(width=640, height=360, rate="30000/1001", frames=300, pattern="black")
    source = captioned(masters, clips) | {"FileInput": upload(masters, clips.file(dark), "captions/dark.mp4")}
    frame = {"Width": 640, "Height": 360}
    plain = output("MP4", h264(), NameModifier="_plain", VideoDescription=frame)
    low = output("MP4", h264(), NameModifier="_low", VideoDescription=frame, CaptionDescriptions=[description("BURN_IN")])
    style = {"YPosition": 20, "XPosition": 40, "Alignment": "LEFT", "FontSize": 40, "OutlineSize": 0}
    high = output("MP4", h264(), NameModifier="_high", VideoDescription=frame, CaptionDescriptions=[description("BURN_IN", **style)])
    small = output("MP4", h264(), NameModifier="_small", CaptionDescriptions=[description("BURN_IN")])
    run(masters, settings([source], [plain, low, high, small], "s3://renditions/burnt/a"))
    rows = {}
    for name in ("_plain", "_low", "_high", "_small"):
        file = masters.download(f"burnt/a{name}.mp4", tmp_path / f"{name}.mp4")
        assert streams(file)[0]["nb_read_packets"] == "300" and decode_complaints(file) == ""
        rows[name] = {at: white_rows(file, at) for at in ("0.5", "2", "3.5")}
    assert rows["_plain"] == {"0.5": [], "2": [], "3.5": []}
    for name in ("_low", "_high", "_small"):
        assert rows[name]["0.5"] == [] and rows[name]["3.5"] == [], (name, rows[name])
    assert rows["_low"]["2"] and min(rows["_low"]["2"]) > 270, rows["_low"]
    assert rows["_small"]["2"] and min(rows["_small"]["2"]) > 135, rows["_small"]
    assert rows["_high"]["2"] and max(rows["_high"]["2"]) < 70 and min(rows["_high"]["2"]) >= 20, rows["_high"]


def test_captions_become_a_text_stream_in_mp4(masters: Server, clips: Clips, tmp_path: Path) -> None:
    text = description("SRT") | {"LanguageDescription": "Castellano"}
    one = output("MP4", h264(), [AAC], NameModifier="_t", CaptionDescriptions=[text])
    run(masters, settings([captioned(masters, clips)], [one], "s3://renditions/text/a"))
    file = masters.download("text/a_t.mp4", tmp_path / "t.mp4")
    kinds = [(stream["codec_type"], stream["codec_name"]) for stream in streams(file)]
    assert kinds == [("video", "h264"), ("audio", "aac"), ("subtitle", "mov_text")]
    subtitle = streams(file)[2]
    assert subtitle["tags"]["language"] == "spa"
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-map", "0:s", "-f", "srt", "-"]
    back = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    assert re.findall(r"\d\d:\d\d:\d\d,\d\d\d", back) == [
        "00:00:01,000", "00:00:03,000", "00:00:04,500", "00:00:06,000", "00:00:08,000", "00:00:10,010",
    ]  # fmt: skip
    assert "¿Qué tal?" in back and "Dos líneas\ny otra & más" in back


def test_player_shows_hls_captions_on_time(masters: Server, clips: Clips, tmp_path: Path) -> None:
    captions = sidecar("WEBVTT", "_sub", Accessibility="ENABLED") | {"ContainerSettings": {"Container": "M3U8"}}
    captions["CaptionDescriptions"][0]["LanguageDescription"] = "Castellano"
    group = {"Destination": "s3://renditions/hls-captions/film", "SegmentLength": 4, "MinSegmentLength": 0}
    group["CaptionSegmentLengthControl"] = "MATCH_VIDEO"
    outputs = [captions, rung("_360", 640, 360), rung("_180", 320, 180)]
    job = {
        "Inputs": [captioned(masters, clips)],
        "OutputGroups": [
            {"OutputGroupSettings": {"Type": "HLS_GROUP_SETTINGS", "HlsGroupSettings": group}, "Outputs": outputs}
        ],
    }
    run(masters, job)
    folder = download(masters, "hls-captions", tmp_path)
    text = (folder / "film.m3u8").read_text()
    media = next(line for line in text.splitlines() if line.startswith("#EXT-X-MEDIA:"))
    for part in ("TYPE=SUBTITLES", 'GROUP-ID="subs"', 'LANGUAGE="spa"', 'NAME="Castellano"', "DEFAULT=NO", "AUTOSELECT=YES",
                 "transcribes-spoken-dialog", 'URI="film_sub.m3u8"'):  # fmt: skip
        assert part in media, (part, media)
    assert text.count('SUBTITLES="subs"') == 2
    playlist = (folder / "film_sub.m3u8").read_text()
    lengths = [Fraction(length) for length in re.findall(r"#EXTINF:([\d.]+),", playlist)]
    assert len(lengths) == 3 and abs(sum(lengths) - Fraction(300 * 1001, 30000)) < Fraction(1, 1000)
    first, second, third = [(folder / f"film_sub_0000{number}.vtt").read_text() for number in (1, 2, 3)]
    assert "X-TIMESTAMP-MAP=MPEGTS:180000,LOCAL:00:00:00.000" in first.replace("LOCAL:00:00:00.000,MPEGTS:180000", "MPEGTS:180000,LOCAL:00:00:00.000")
    assert "¿Qué tal?" in first and "Dos líneas" in second and "Hasta el final" in second and "Hasta el final" in third
    if browser():
        seen = play(folder, "film.m3u8", tmp_path / "profile")
        broken = [error for error in seen["errors"] if "fatal=false" not in error]
        assert seen["ended"] and not broken, seen
        assert seen["subtitles"] == ["Castellano"], seen
        cues = {text.split("\n")[0]: start for start, text in seen["cues"]}
        # hls.js counts from the decoding of the first frame, two frames before it is shown, for video and captions alike.
        lead = 2 * 1001 / 30000
        assert abs(cues["¿Qué tal?"] - lead - 1) < 0.01 and abs(cues["Dos líneas"] - lead - 4.5) < 0.01, seen


@pytest.mark.parametrize(
    ("source", "codes", "words"),
    [
        ({"text": "1\n00:00:xx --> 00:00:02,000\nHola\n"}, 1010, ["s3://masters/captions/texto.srt", "line 2"]),
        ({"SourceFile": "s3://masters/captions/nada.srt"}, 1404, ["nada.srt"]),
    ],
)
def test_unreadable_caption_file_is_reported(
    masters: Server, clips: Clips, source: dict, codes: int, words: list[str]
) -> None:
    job = settings([captioned(masters, clips, **source)], [output("MP4", h264(), NameModifier="_v"), sidecar("SRT", "_s")], "s3://renditions/bad/a")
    done = fail(masters, job)
    assert done["ErrorCode"] == codes and all(word in done["ErrorMessage"] for word in words), done["ErrorMessage"]
    assert masters.keys(prefix="bad/") == []


def test_unknown_caption_selector_is_reported(masters: Server, clips: Clips) -> None:
    wrong = sidecar("SRT", "_s")
    wrong["CaptionDescriptions"][0]["CaptionSelectorName"] = "Captions Selector 7"
    told = refuse(masters, settings([captioned(masters, clips)], [output("MP4", h264(), NameModifier="_v"), wrong], "s3://renditions/bad/a"))
    assert "/captionSelectorName: " in told and "existing selectors: Captions Selector 1" in told, told
