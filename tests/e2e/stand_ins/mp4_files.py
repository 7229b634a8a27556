"""Stand-ins for MP4 and QuickTime films that are not rotated: misleading headers, HDR, old codecs and studio codecs."""

from __future__ import annotations

import struct
from pathlib import Path

from stand_ins import boxes
from stand_ins.ffmpeg import AV1_10BIT, HLG, PQ, X264, X265_10BIT, X265_QUIET, make, picture, tone

NTSC_30 = "30000/1001"
MONO, STEREO = ("-c:a", "aac", "-ac", "1"), ("-c:a", "aac", "-ac", "2")
TEN_BIT = (*X264, "-pix_fmt", "yuv420p10le")
UNKNOWN_LENGTH = b"\xff\xff\xff\xff"
# Offset of the duration in boxes of version 0, including the header.
TKHD_LENGTH, MDHD_LENGTH = boxes.HEADER + 20, boxes.HEADER + 16


def sound_only(file: Path) -> None:
    """One second of a mono tone at 16 kHz."""
    make(file, tone(1, hertz=16_000), ("-c:a", "aac", "-ac", "1"))


def index_at_end(file: Path) -> None:
    """One second of plain H.264 with mono audio. The index is at the end."""
    make(file, picture("320x180", 30, 30), tone(1), X264, MONO, ("-video_track_timescale", "90000"))


def first_frame_hidden(file: Path) -> None:
    """13 frames at 1 fps in 4:4:4, decoded out of order. The edit list starts one frame later than ffmpeg wrote it."""
    order = ("-pix_fmt", "yuv444p", "-bf", "2", "-g", "4")
    make(file, picture("352x288", 1, 13), X264, order, ("-video_track_timescale", "16384"))
    data = file.read_bytes()
    at = boxes.box_at(data, "moov/trak/edts/elst")[0] + boxes.HEADER + 8
    length, start = struct.unpack(">II", data[at : at + 8])
    later = struct.pack(">II", length - 1000, start + 16_384)
    file.write_bytes(boxes.overwritten(data, "moov/trak/edts/elst", boxes.HEADER + 8, later))


def claims_39_hours(file: Path) -> None:
    """One second in fragments. The durations in the headers of both tracks are overwritten with the largest number."""
    fragments = ("-movflags", "+frag_keyframe+empty_moov", "-bf", "2", "-use_editlist", "0", "-video_track_timescale", "30000")
    make(file, picture("360x240", NTSC_30, 30), tone(1, hertz=44_100), X264, MONO, fragments)
    data = file.read_bytes()
    for track in ("moov/trak[0]", "moov/trak[1]"):
        data = boxes.overwritten(data, f"{track}/tkhd", TKHD_LENGTH, UNKNOWN_LENGTH)
        data = boxes.overwritten(data, f"{track}/mdia/mdhd", MDHD_LENGTH, UNKNOWN_LENGTH)
    file.write_bytes(data)


def high10_4k(file: Path) -> None:
    """Three frames of 3840x2160 in ten bits, marked as HLG, with a timecode track."""
    make(file, picture("3840x2160", 30, 3), TEN_BIT, HLG, ("-timecode", "00:00:00:00"))


def hdr10_portrait(file: Path) -> None:
    """Half a second of portrait AV1 in ten bits, marked as HDR10. The audio starts 21 ms late."""
    make(file, picture("180x320", NTSC_30, 15), ("-itsoffset", "0.021"), tone(1), AV1_10BIT, PQ, STEREO, ("-t", "0.5"))


def sound_first(file: Path) -> None:
    """Nine frames of ten-bit HEVC marked as HLG, after the audio stream. A frame takes 3001 ticks of 90 kHz."""
    ten_bit = (*X265_10BIT, "-x265-params", X265_QUIET, "-video_track_timescale", "90000")
    order = ("-map", "1:a", "-map", "0:v", "-t", "0.3")
    make(file, picture("320x180", "90000/3001", 9), tone(1), order, ten_bit, HLG, STEREO)


def one_frame(file: Path) -> None:
    """A single frame in ten bits and full range."""
    bt709 = ("-color_range", "pc", "-colorspace", "bt709", "-color_trc", "bt709", "-color_primaries", "bt709")
    make(file, picture("320x180", 25, 1), TEN_BIT, bt709)


def oblong_pixels(file: Path) -> None:
    """One second with pixels twice as wide as high."""
    make(file, picture("160x90", 30, 30, "setsar=2"), X264)


def prores(file: Path) -> None:
    """Twelve frames of ProRes 422 Proxy with six channels of PCM."""
    studio = ("-c:v", "prores_ks", "-profile:v", "proxy", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s16le", "-ac", "6")
    make(file, picture("320x180", 25, 12), tone(1), studio, ("-t", "0.48"))


def cinepak(file: Path) -> None:
    """30 frame slots at 15 fps in an AVI file. Every third slot and the last one hold a picture; the others are empty."""
    gaps = "select=not(mod(n\\,3))+eq(n\\,29)"
    avi = ("-c:v", "cinepak", "-pix_fmt", "rgb24", "-fps_mode", "vfr", "-max_strips", "1")
    make(file, picture("160x120", "1000000/66667", 30, gaps), avi)
