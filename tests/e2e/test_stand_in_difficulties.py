"""Does each stand-in have the difficulty that it is made for? Checks it with ffprobe, ffmpeg's detectors and the file's bytes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest
from media_facts import top_boxes
from orientation import UPRIGHT, turn_between
from stand_ins import StandIn, StandIns, boxes, broken_files, phones, transport, webm_files
from stand_ins.table import ALL

Check = Callable[[Path], None]
CHECKS: dict[str, Check] = {}


def checks(name: str) -> Callable[[Check], Check]:
    """Registers a function as the check of a stand-in."""

    def mark(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return mark


@cache
def streams(file: Path) -> list[dict]:
    """Returns ffprobe's facts about all streams. Runs ffprobe once per file."""
    command = ["ffprobe", "-v", "quiet", "-count_packets", "-show_streams", "-of", "json", str(file)]
    return json.loads(subprocess.run(command, capture_output=True, timeout=60).stdout).get("streams", [])


def shown(file: Path, *members: str, kind: str = "video") -> tuple:
    """Returns some members of the first stream of a kind."""
    stream = next(stream for stream in streams(file) if stream["codec_type"] == kind)
    return tuple(stream.get(member) for member in members)


def packets(file: Path) -> list[dict]:
    """Returns the times and flags of all video packets."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_packets", "-of", "json", str(file)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)["packets"]


def duration(file: Path) -> str | None:
    """Returns the duration that the file's header claims."""
    command = ["ffprobe", "-v", "error", "-show_format", "-of", "json", str(file)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)["format"].get("duration")


def detected(file: Path, chain: str) -> str:
    """Returns the output of one of ffmpeg's detectors."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-i", str(file), "-map", "0:v", "-vf", chain, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr


@pytest.mark.parametrize("name", ALL)
def test_stand_in_has_its_difficulty(name: str, stand_ins: StandIns) -> None:
    CHECKS[name](stand_ins.file(ALL[name]))


def test_every_stand_in_has_a_check_and_a_description() -> None:
    assert set(CHECKS) == set(ALL)
    assert all(row.kind and row.make.__doc__ for row in ALL.values())


# One file for every encoder and every container.
REPEATED = (
    "dolby_vision.MOV", "av1_10bit_opus.webm", "size_changes.webm", "many_tracks.mkv", "interlaced.ts", "cinepak.avi",
    "live_recording.webm", "prores_pcm51.mov", "random_bytes.mp4",
)  # fmt: skip
TURNED = [row for row in ALL.values() if row.upright]


@pytest.mark.parametrize("row", TURNED, ids=[row.name for row in TURNED])
def test_players_show_a_rotated_stand_in_upright(row: StandIn, stand_ins: StandIns, tmp_path: Path) -> None:
    file, as_stored = stand_ins.file(row), tmp_path / "as_stored.mkv"
    command = ["ffmpeg", "-v", "error", "-noautorotate", "-i", str(file), "-frames:v", "1", "-vf", "scale=240:240", "-c:v", "ffv1"]
    subprocess.run([*command, str(as_stored)], check=True, timeout=60)
    upright = stand_ins.upright(row)
    assert turn_between(upright, as_stored) != UPRIGHT
    assert turn_between(upright, file) == UPRIGHT


@pytest.mark.parametrize("name", REPEATED)
def test_same_stand_in_has_the_same_bytes_twice(name: str, stand_ins: StandIns, tmp_path: Path) -> None:
    assert StandIns(tmp_path).file(ALL[name]).read_bytes() == stand_ins.file(ALL[name]).read_bytes()


# Films for the three-preset job.


@checks("surround_1080p25.ts")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "width", "height", "r_frame_rate") == ("h264", 1920, 1080, "25/1")
    assert shown(file, "codec_name", "channels", kind="audio") == ("aac", 6)


@checks("stereo_720p30.ts")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "width", "height", "r_frame_rate") == ("h264", 1280, 720, "30/1")
    assert shown(file, "codec_name", "channels", "sample_rate", kind="audio") == ("aac", 2, "44100")


@checks("camera_12_fps.mp4")
def _(file: Path) -> None:
    assert shown(file, "profile", "r_frame_rate") == ("Constrained Baseline", "25/2")
    assert shown(file, "color_space", "color_transfer", "color_primaries") == ("smpte170m",) * 3


@checks("camera_60_fps_silent.mp4")
def _(file: Path) -> None:
    assert shown(file, "r_frame_rate", "nb_read_packets") == ("60000/1001", "24")
    assert len(streams(file)) == 1


@checks("trailer.mp4")
def _(file: Path) -> None:
    assert shown(file, "time_base") == ("1/24",)
    assert top_boxes(file)[-1] == "moov"
    scores = detected(file, "scale=160:90,scdet=threshold=30:sc_pass=1")
    assert len(re.findall("lavfi.scd.score", scores)) == 2, scores
    dark = detected(file, "scale=160:90,signalstats,metadata=print:key=lavfi.signalstats.YAVG")
    averages = [float(value) for value in re.findall(r"YAVG=([\d.]+)", dark)]
    assert averages[0] < 20 and averages[-1] < 60 < averages[3], averages


# Films with a difficulty.


@checks("av1_10bit_opus.webm")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "pix_fmt") == ("av1", "yuv420p10le")
    assert shown(file, "codec_name", "channels", kind="audio") == ("opus", 1)


@checks("cinepak.avi")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "pix_fmt", "nb_frames", "nb_read_packets") == ("cinepak", "rgb24", "30", "11")
    assert shown(file, "r_frame_rate") == ("1000000/66667",)


@checks("interlaced.ts")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "field_order", "sample_aspect_ratio") == ("mpeg2video", "tt", "32:27")
    # The difference of each field from the one before. In interlaced video it is as large within a frame as between
    # two.
    told = detected(file, "separatefields,signalstats,metadata=print:key=lavfi.signalstats.YDIF")
    changes = [float(value) for value in re.findall(r"YDIF=([\d.]+)", told)]
    assert len(changes) == 30 and 0.9 < sum(changes[1::2]) / sum(changes[2::2]) * 14 / 15 < 1.1, changes


@checks("prores_pcm51.mov")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "profile", "pix_fmt") == ("prores", "Proxy", "yuv422p10le")
    assert shown(file, "codec_name", "channels", kind="audio") == ("pcm_s16le", 6)


@checks("many_tracks.mkv")
def _(file: Path) -> None:
    found = [(one["codec_name"], one.get("channels"), one["disposition"]["default"]) for one in streams(file)]
    assert found[1:4] == [("aac", 6, 0), ("ac3", 2, 1), ("opus", 1, 0)]
    assert [name for name, *_ in found[4:]] == ["subrip", "ass"]
    assert streams(file)[4]["disposition"]["forced"] == 1
    assert shown(file, "sample_aspect_ratio", "start_time") == ("1280:1281", "0.028000")
    assert float(streams(file)[3]["start_time"]) < 0


@checks("clock_wraps.ts")
def _(file: Path) -> None:
    times = transport.times(file.read_bytes(), transport.VIDEO_PID)
    one_second = transport.CLOCK_HZ
    assert times[0] == transport.WRAP - one_second
    assert max(times) == transport.WRAP - one_second / 25 and min(times) == 0
    assert len(times) == 50


@checks("first_frame_hidden.mp4")
def _(file: Path) -> None:
    assert shown(file, "pix_fmt", "r_frame_rate", "nb_read_packets") == ("yuv444p", "1/1", "13")
    (first, *rest) = packets(file)
    assert first["pts"] < 0 and first["dts"] < 0 and "D" in first["flags"]
    assert not any("D" in packet["flags"] for packet in rest)


@checks("claims_39_hours.mp4")
def _(file: Path) -> None:
    assert float(duration(file)) > 39 * 3600
    assert shown(file, "nb_read_packets", "r_frame_rate") == ("30", "30000/1001")
    assert "moof" in top_boxes(file)


@checks("high10_4k_hlg.mp4")
def _(file: Path) -> None:
    assert shown(file, "profile", "width", "height", "color_transfer") == ("High 10", 3840, 2160, "arib-std-b67")
    assert shown(file, "codec_tag_string", kind="data") == ("tmcd",)


@checks("hdr10_portrait.mp4")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "pix_fmt", "color_transfer") == ("av1", "yuv420p10le", "smpte2084")
    assert shown(file, "width", "height", "side_data_list") == (180, 320, None)
    assert top_boxes(file)[-1] == "moov"


@checks("sound_first.mp4")
def _(file: Path) -> None:
    assert [stream["codec_type"] for stream in streams(file)] == ["audio", "video"]
    assert shown(file, "codec_name", "profile", "color_transfer") == ("hevc", "Main 10", "arib-std-b67")
    assert shown(file, "r_frame_rate", "nb_read_packets") == ("90000/3001", "9")


@checks("dolby_vision.MOV")
def _(file: Path) -> None:
    side_data = {entry["side_data_type"]: entry for entry in shown(file, "side_data_list")[0]}
    record = side_data["DOVI configuration record"]
    assert (record["dv_profile"], record["dv_bl_signal_compatibility_id"]) == (8, 4)
    assert shown(file, "profile", "color_transfer") == ("Main 10", "arib-std-b67")
    assert [one["codec_tag_string"] for one in streams(file)[2:]] == ["mebx"] * 3
    assert boxes.matrix_of(file.read_bytes()) == boxes.QUARTER_TURN
    assert [packet["flags"][1] for packet in packets(file)] == ["_"] * 5 + ["D"]


@checks("index_last_mono.mp4")
def _(file: Path) -> None:
    assert top_boxes(file)[-1] == "moov"
    assert shown(file, "codec_name", "channels", kind="audio") == ("aac", 1)


@checks("mpeg2_mp2.ts")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "field_order") == ("mpeg2video", "progressive")
    assert shown(file, "codec_name", "sample_rate", kind="audio") == ("mp2", "44100")


@checks("live_recording.webm")
def _(file: Path) -> None:
    assert duration(file) is None
    assert b"\x1c\x53\xbb\x6b" not in file.read_bytes(), "it has an index"
    assert shown(file, "codec_name", "r_frame_rate") == ("vp9", "15000/1001")


@checks("one_frame_full_range.mp4")
def _(file: Path) -> None:
    assert shown(file, "profile", "color_range", "nb_read_packets") == ("High 10", "pc", "1")


@checks("turned_4k60_full_range.mp4")
def _(file: Path) -> None:
    assert shown(file, "pix_fmt", "width", "height", "r_frame_rate") == ("yuvj420p", 3840, 2160, "60/1")
    assert shown(file, "color_space", "color_primaries") == ("bt470bg", "bt470bg")
    assert boxes.matrix_of(file.read_bytes()) == boxes.QUARTER_TURN


@checks("upside_down_varying.mp4")
def _(file: Path) -> None:
    times = [packet["pts"] for packet in packets(file)]
    assert [after - before for before, after in zip(times, times[1:])] == phones.SWINGING
    assert len(set(phones.SWINGING)) == 3
    assert boxes.matrix_of(file.read_bytes()) == boxes.HALF_TURN


@checks("turned_with_data.mov")
def _(file: Path) -> None:
    assert [one["codec_tag_string"] for one in streams(file)] == ["avc1", "mp4a", "mebx", "mebx"]
    assert boxes.matrix_of(file.read_bytes()) == boxes.QUARTER_TURN


@checks("size_changes.webm")
def _(file: Path) -> None:
    command = ["ffprobe", "-v", "error", "-show_entries", "frame=width", "-of", "csv=p=0", str(file)]
    widths = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert widths == ["120"] * 10 + ["60"] * 10


@checks("turned_and_mirrored.mp4")
def _(file: Path) -> None:
    assert boxes.matrix_of(file.read_bytes()) == boxes.SWAP


@checks("oblong_pixels.mp4")
def _(file: Path) -> None:
    assert shown(file, "width", "height", "sample_aspect_ratio") == (160, 90, "2:1")


@checks("second_is_missing.ts")
def _(file: Path) -> None:
    data = file.read_bytes()
    times = sorted(transport.times(data, transport.VIDEO_PID))
    distances = [Fraction(after - before, transport.CLOCK_HZ) for before, after in zip(times, times[1:])]
    assert sorted(distances) == [Fraction(1, 25)] * 48 + [Fraction(26, 25)]
    assert transport.jumps(data, transport.VIDEO_PID) == 1 and transport.jumps(data, transport.AUDIO_PID) == 1
    assert shown(file, "channels", kind="audio") == (6,)


@checks("starts_late.ts")
def _(file: Path) -> None:
    first = transport.times(file.read_bytes(), transport.VIDEO_PID)[0]
    assert Fraction(first, transport.CLOCK_HZ) == Fraction("481.65")
    assert shown(file, "sample_aspect_ratio") == (None,)
    assert len(streams(file)) == 1


@checks("screen_recording.mp4")
def _(file: Path) -> None:
    times = [packet["pts"] for packet in packets(file)]
    distances = [after - before for before, after in zip(times, times[1:])]
    assert [distance for distance in distances if distance > 1100] == [198_007]
    assert len(set(distances)) == 3, "times that waver"
    assert shown(file, "r_frame_rate") == ("90000/1",)


@checks("frames_of_a_millisecond.webm")
def _(file: Path) -> None:
    assert shown(file, "avg_frame_rate", "nb_read_packets") == ("1000/1", "24")
    assert shown(file, "codec_name", "sample_rate", kind="audio") == ("vorbis", "22050")


@checks("vp9_60_fps_vorbis51.webm")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "r_frame_rate") == ("vp9", "60/1")
    assert shown(file, "codec_name", "channels", kind="audio") == ("vorbis", 6)


@checks("odd_sides.webm")
def _(file: Path) -> None:
    assert shown(file, "width", "height", "r_frame_rate") == (161, 121, "2997/100")


@checks("webm_named.mp4")
def _(file: Path) -> None:
    assert file.read_bytes().startswith(b"\x1a\x45\xdf\xa3")
    assert file.suffix == ".mp4"


# Files that cannot become a video.


@checks("sound_only.mp4")
def _(file: Path) -> None:
    assert [(one["codec_name"], one["channels"], one["sample_rate"]) for one in streams(file)] == [("aac", 1, "16000")]


@checks("headers_overwritten.mp4")
def _(file: Path) -> None:
    assert [one.get("codec_name", "unknown") for one in streams(file)] == ["unknown", "unknown"]


@checks("playlist_of_neighbour.mp4")
def _(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "#EXTM3U" and broken_files.NEIGHBOUR in lines
    assert streams(file.parent / broken_files.NEIGHBOUR), "the neighbour is a film that a careless reader would open"


@checks("playlist_of_hosts.mp4")
def _(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("#EXTM3U\n") and "file:///etc/" in text
    assert set(re.findall(r"http://([^:/]+)", text)) == {"127.0.0.1"}, "no test may reach another machine"


@checks("random_bytes.mp4")
def _(file: Path) -> None:
    data = file.read_bytes()
    assert len(data) == 65_536 and len(set(data)) == 256
    assert streams(file) == []


@checks("text.mp4")
def _(file: Path) -> None:
    assert file.read_text().isascii() and streams(file) == []


@checks("half_is_gone.mp4")
def _(file: Path) -> None:
    promised, there = map(int, shown(file, "nb_frames", "nb_read_packets"))
    assert promised == 50 and 0 < there < 50
    with pytest.raises(ValueError, match="b'mdat'"):
        top_boxes(file)


@checks("index_is_gone.mp4")
def _(file: Path) -> None:
    assert b"moov" not in file.read_bytes()
    with pytest.raises(ValueError, match="b'mdat'"):
        top_boxes(file)


@checks("huge_picture.webm")
def _(file: Path) -> None:
    data = file.read_bytes()
    width, height = (element + b"\x82\x30\x30" for element in (webm_files.PIXEL_WIDTH, webm_files.PIXEL_HEIGHT))
    assert width in data and height in data
    at = data.index(broken_files.VP9_SYNC_CODE) + 3
    sides = int.from_bytes(data[at : at + 5], "big") >> 4 & 0xFFFFFFFF
    assert (sides >> 16, sides & 0xFFFF) == (12_335, 12_335)


@checks("empty.mp4")
def _(file: Path) -> None:
    assert file.stat().st_size == 0


@checks("pictures_announced_only.ts")
def _(file: Path) -> None:
    assert shown(file, "codec_name", "width", "nb_read_packets") == ("h264", 0, None)
    assert shown(file, "codec_name", kind="audio") == ("aac",)
    assert transport.times(file.read_bytes(), transport.VIDEO_PID) == []
