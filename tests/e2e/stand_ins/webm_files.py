"""Stand-ins for films in WebM and Matroska files: live recordings, changing frame sizes, wrong rates in the header."""

from __future__ import annotations

from pathlib import Path

from stand_ins.ffmpeg import AV1_10BIT, VP8, VP9, X264, ffmpeg, make, picture, tone

NTSC_30 = "30000/1001"
# The Matroska elements for the duration of a frame in nanoseconds, and for width and height in pixels.
DEFAULT_DURATION, PIXEL_WIDTH, PIXEL_HEIGHT = b"\x23\xe3\x83", b"\xb0", b"\xba"
SUBTITLES = "1\n00:00:00,100 --> 00:00:00,900\n{}\n"


def av1_ten_bit(file: Path) -> None:
    """Half a second of ten-bit AV1 with mono Opus."""
    make(file, picture("320x180", 30, 15), tone(1), AV1_10BIT, ("-c:a", "libopus", "-ac", "1", "-t", "0.5"))


def live_recording(file: Path) -> None:
    """One second of VP9 and Opus, written as a live stream, without duration or index."""
    live = ("-c:a", "libopus", "-ac", "2", "-live", "1", "-f", "webm")
    make(file, picture("320x180", "15000/1001", 15), tone(1), VP9, live)


def size_changes(file: Path) -> None:
    """Ten frames of 120x80 and ten of 60x40. They are encoded separately, and their packets are joined."""
    parts = [file.with_name(f"{size}_{file.name}") for size in ("120x80", "60x40")]
    for part in parts:
        make(part, picture(part.name.partition("_")[0], 30, 10), VP8)
    listing = file.with_name(f"{file.name}.list")
    listing.write_text("".join(f"file {part.name}\n" for part in parts))
    ffmpeg("-f", "concat", "-i", listing, "-c", "copy", "-fflags", "+bitexact", file)
    for part in (*parts, listing):
        part.unlink()


def frames_of_a_millisecond(file: Path) -> None:
    """24 frames at 24 fps with mono Vorbis. The frame duration in the track's header is overwritten with 1 ms."""
    make(file, picture("320x180", 24, 24), tone(1, hertz=22_050), VP8, ("-c:a", "libvorbis", "-ac", "1", "-ar", "22050", "-t", "1"))
    data = file.read_bytes()
    at = data.index(DEFAULT_DURATION + b"\x84") + 4
    file.write_bytes(data[:at] + (1_000_000).to_bytes(4, "big") + data[at + 4 :])


def vp9_surround(file: Path) -> None:
    """Half a second of VP9 at 60 fps with Vorbis 5.1."""
    make(file, picture("320x180", 60, 30), tone(1), VP9, ("-c:a", "libvorbis", "-ac", "6", "-t", "0.5"))


def odd_sides(file: Path) -> None:
    """Half a second of VP9 with an odd width and an odd height."""
    make(file, picture("160x120", "2997/100", 15, "scale=161:121"), VP9)


def named_mp4(file: Path) -> None:
    """Half a second of VP9 in WebM, under the name of an MP4 file."""
    make(file, picture("320x240", NTSC_30, 15), VP9, ("-f", "webm"))


def many_tracks(file: Path) -> None:
    """One second with three audio tracks in three codecs and two subtitle tracks. The second audio track is the default."""
    subtitles = [file.with_name(f"{language}_{file.name}.srt") for language in ("eng", "fra")]
    for subtitle in subtitles:
        subtitle.write_text(SUBTITLES.format(subtitle.name))
    pictures = picture("854x480", 25, 25, "setsar=1280/1281:max=2000,settb=1/1000")
    inputs = ["-itsoffset", "0.028", *pictures, "-itsoffset", "0.028", *tone(1, pitch=300)]
    inputs += ["-itsoffset", "0.007", *tone(1, pitch=600), *tone(1, pitch=1200)]
    inputs += [word for subtitle in subtitles for word in ("-i", str(subtitle))]
    maps = [word for index in range(6) for word in ("-map", str(index))]
    sounds = ["-c:a:0", "aac", "-ac:a:0", "6", "-c:a:1", "ac3", "-ac:a:1", "2", "-c:a:2", "libopus", "-ac:a:2", "1"]
    texts = ["-c:s:0", "subrip", "-c:s:1", "ass", "-disposition:s:0", "forced", "-disposition:s:1", "0"]
    defaults = ["-disposition:a:0", "0", "-disposition:a:1", "default", "-disposition:a:2", "visual_impaired"]
    languages = ["eng", "fra", "deu"]
    named = [word for index, name in enumerate(languages) for word in (f"-metadata:s:a:{index}", f"language={name}")]
    times = ["-fps_mode", "passthrough", "-enc_time_base", "1:1000", "-avoid_negative_ts", "disabled"]
    make(file, inputs, maps, list(X264), times, sounds, texts, defaults, named)
    for subtitle in subtitles:
        subtitle.unlink()
