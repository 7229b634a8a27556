"""Stand-ins for films in transport streams: clocks that wrap, start late or jump, interlaced video, old codecs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from stand_ins import transport
from stand_ins.ffmpeg import X264, make, picture, tone

SURROUND = ("-c:a", "aac", "-ac", "6")
STEREO = ("-c:a", "aac", "-ac", "2")
# Without these, ffmpeg adds 1.4 seconds to all times.
EXACT_CLOCK = ("-muxdelay", "0", "-muxpreload", "0")
# One key frame per second, with reordered frames between them.
FILM = (*X264, "-g", "25", "-sc_threshold", "0", "-bf", "2")
NTSC_60 = "60000/1001"
WRAP_SECONDS = Fraction(transport.WRAP, transport.CLOCK_HZ)


def clock_wraps(file: Path) -> None:
    """Two seconds that start one second before the 33-bit clock wraps."""
    start = f"{float(WRAP_SECONDS - 1):.6f}"
    make(file, picture("320x180", 25, 50), tone(2), FILM, SURROUND, EXACT_CLOCK, ("-output_ts_offset", start))


def second_is_missing(file: Path) -> None:
    """Three seconds with a key frame in each. All packets of the second one are removed."""
    make(file, picture("320x180", 25, 75), tone(3), FILM, SURROUND, EXACT_CLOCK, ("-output_ts_offset", "11"))
    data = file.read_bytes()
    first = transport.times(data, transport.VIDEO_PID)[0]
    gone = range(first + transport.CLOCK_HZ, first + 2 * transport.CLOCK_HZ)
    file.write_bytes(transport.without(data, lambda _, time: time in gone))


def starts_late(file: Path) -> None:
    """One second whose clock starts at 481.65 s, without audio and without a pixel aspect ratio."""
    make(file, picture("320x180", 24, 24, "setsar=0"), X264, EXACT_CLOCK, ("-output_ts_offset", "481.65"))


def interlaced(file: Path) -> None:
    """30 frames at 59.94 fps, interlaced in pairs (upper field first) into 15 frames with non-square pixels."""
    woven = picture("720x480", NTSC_60, 30, "interlace=scan=tff:lowpass=off,setsar=32/27")
    make(file, woven, ("-c:v", "mpeg2video", "-b:v", "4M", "-flags", "+bitexact+ilme+ildct", "-top", "1"))


def mpeg2(file: Path) -> None:
    """One second of MPEG-2 with MP2 sound at 44.1 kHz."""
    make(file, picture("320x180", 24, 24), tone(1, hertz=44_100), ("-c:v", "mpeg2video", "-c:a", "mp2", "-ac", "2"))


def announced_only(file: Path) -> None:
    """A film without its video packets, which the tables still announce."""
    whole = file.with_name(f"whole_{file.name}")
    make(whole, picture("320x180", 25, 25), tone(1, hertz=44_100), X264, STEREO)
    data = whole.read_bytes()
    whole.unlink()
    kept = (packet for packet in transport.packets(data) if transport.pid(packet) != transport.VIDEO_PID)
    file.write_bytes(b"".join(kept))
