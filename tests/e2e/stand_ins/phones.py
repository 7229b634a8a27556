"""Stand-ins for phone videos: pictures stored rotated or mirrored, variable frame rates, data tracks, a hidden first moment."""

from __future__ import annotations

import struct
from pathlib import Path

from stand_ins import boxes
from stand_ins.ffmpeg import HLG, X264, X265_10BIT, X265_QUIET, make, picture, tone
from stand_ins.mebx import with_data_tracks

NTSC_30 = "30000/1001"
MONO_44, STEREO_44 = ("-c:a", "aac", "-ac", "1"), ("-c:a", "aac", "-ac", "2")
# The filters that rotate an upright picture so that the display matrix makes it upright again.
STORED = {boxes.QUARTER_TURN: "transpose=cclock", boxes.HALF_TURN: "hflip,vflip", boxes.SWAP: "transpose=cclock_flip"}
ON_90K = (*X264, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000")
# The durations of the frames of `upside_down` in ticks of 90 kHz: a camera that speeds up and slows down.
SWINGING = [9000] * 5 + [8100] * 4 + [7200] * 4 + [8100] * 4 + [9000] * 7
# Dolby Vision 8.4: version 1.0, profile 8, level 4, with metadata and an HLG-compatible base layer.
DOLBY_VISION_84 = bytes([1, 0, 8 << 1, 4 << 3 | 0b101, 4 << 4]) + bytes(19)
FACES = b"mdtacom.apple.quicktime.detected-face"
ORIENTATION = b"mdtacom.apple.quicktime.video-orientation"
LIVE_PHOTO = b"mdtacom.apple.quicktime.live-photo-info"


def _turned(file: Path, matrix: tuple[int, int, int, int], *parts: list[str] | tuple[str, ...]) -> None:
    """Makes a file whose pictures are stored as `matrix` expects, and writes the matrix."""
    make(file, *parts, ("-filter:v", STORED[matrix]))
    data = file.read_bytes()
    at = boxes.box_at(data, "moov/trak/tkhd")[0] + boxes.TKHD_MATRIX + 36
    width, height = (side >> 16 for side in struct.unpack(">II", data[at : at + 8]))
    file.write_bytes(boxes.turned(data, matrix, width, height))


def _at_times(size: str, times: list[int]) -> list[str]:
    """Returns the options for an input with a frame at each of these times, in ticks of 90 kHz."""
    sum_of = "+".join(f"eq(N\\,{number})*{time}" for number, time in enumerate(times))
    return picture(size, 30, len(times), f"settb=1/90000,setpts={sum_of}")


def turned_with_data(file: Path) -> None:
    """H.264 rotated to the left, a matrix that rotates it back, and two tracks of timed metadata written byte by byte."""
    _turned(file, boxes.QUARTER_TURN, picture("180x320", 30, 15), tone(1, hertz=44_100), X264, MONO_44, ("-t", "0.5"))
    file.write_bytes(with_data_tracks(file.read_bytes(), 3, FACES, ORIENTATION))


def dolby_vision(file: Path) -> None:
    """Ten-bit HEVC rotated to the left. A Dolby Vision box, three tracks of metadata and an edit list that hides the last of six
    frames are added byte by byte.
    """
    ten_bit = (*X265_10BIT, "-x265-params", f"{X265_QUIET}:bframes=0", *HLG)
    sound = tone(1, hertz=44_100)
    _turned(file, boxes.QUARTER_TURN, picture("180x320", 30, 6), sound, ten_bit, STEREO_44, ("-t", "0.2"))
    data = boxes.with_child(file.read_bytes(), "moov/trak/mdia/minf/stbl/stsd/hvc1", boxes.box("dvvC", DOLBY_VISION_84))
    # Five frames at 30 fps take 167 ms. The film's timescale is milliseconds.
    data = boxes.overwritten(data, "moov/trak/edts/elst", boxes.HEADER + 8, struct.pack(">I", 160))
    file.write_bytes(with_data_tracks(data, 3, ORIENTATION, FACES, LIVE_PHOTO))


def turned_4k_full_range(file: Path) -> None:
    """Four frames of 3840x2160 at 60 fps in full range, rotated to the left, with a matrix that rotates them back."""
    full = ("-pix_fmt", "yuvj420p", "-color_range", "pc", "-colorspace", "bt470bg", "-color_trc", "smpte170m")
    pictures = picture("2160x3840", 60, 4)
    _turned(file, boxes.QUARTER_TURN, pictures, tone(1), X264, full, ("-color_primaries", "bt470bg"), STEREO_44, ("-t", "0.1"))


def upside_down(file: Path) -> None:
    """25 frames stored upside down, each lasting 80 to 100 ms, with the matrix of a half turn."""
    times = [sum(SWINGING[:frame]) for frame in range(25)]
    _turned(file, boxes.HALF_TURN, _at_times("320x180", times), tone(2), ON_90K, ("-c:a", "aac", "-ac", "1"))


def turned_and_mirrored(file: Path) -> None:
    """Fifteen frames stored with columns and rows swapped, and a matrix that swaps them back."""
    pictures = picture("180x270", NTSC_30, 15)
    _turned(file, boxes.SWAP, pictures, tone(1, hertz=44_100), X264, MONO_44, ("-t", "0.5"))


def screen_recording(file: Path) -> None:
    """91 frames at up to 90 fps with the aspect ratio of a tall screen. The 46th lasts 2.2 s."""
    times = [frame * 1000 + 7 * (frame % 3) + (197_000 if frame > 45 else 0) for frame in range(91)]
    make(file, _at_times("108x228", times), ON_90K)
