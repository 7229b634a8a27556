"""Stand-ins for the films of the speed and quality benchmarks: common files, with the properties for which they were chosen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from stand_ins.ffmpeg import X264, make, picture, tone

NTSC_60 = "60000/1001"
STEREO = ("-c:a", "aac", "-ac", "2")
LENGTH = Fraction(2, 5)
# A fade from black, two cuts, dark scenes and a fade to black.
TRAILER = "fade=in:0:3,negate=enable=between(n\\,5\\,7),fade=out:9:3"


def surround_1080p(file: Path) -> None:
    """0.4 s of 1080p at 25 fps in a transport stream with AAC 5.1."""
    make(file, picture("1920x1080", 25, 10), tone(LENGTH), X264, ("-c:a", "aac", "-ac", "6"))


def stereo_720p(file: Path) -> None:
    """0.4 s of 720p at 30 fps in a transport stream with AAC at 44.1 kHz."""
    make(file, picture("1280x720", 30, 12), tone(LENGTH, hertz=44_100), X264, STEREO)


def camera_12_fps(file: Path) -> None:
    """0.4 s at 12.5 fps, marked with the colours of NTSC video."""
    colours = ("-colorspace", "smpte170m", "-color_trc", "smpte170m", "-color_primaries", "smpte170m")
    make(file, picture("768x432", "25/2", 5), tone(LENGTH), X264, colours, STEREO)


def camera_60_fps(file: Path) -> None:
    """0.4 s at 59.94 fps without audio."""
    make(file, picture("960x540", NTSC_60, 24), X264)


def trailer(file: Path) -> None:
    """Half a second with fades, dark scenes and cuts. The index is at the end, and the timescale is the frame rate."""
    make(file, picture("1280x720", 24, 12, TRAILER), tone(Fraction(1, 2)), X264, ("-video_track_timescale", "24"), STEREO)
