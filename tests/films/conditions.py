"""Makes films of the conditions that users' films are in, each with the truth: the same film as a viewer should see and hear it.

A condition takes a folder and makes its film there. Its truth has the same pictures at a constant rate, with time stamps from
zero, and the same sound.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 4
# Its pitch rises all the time, so that each place sounds like no other.
SWEEP = "0.4*sin(2*PI*(300*t+90*t*t))"
X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p", "-g", "25"]
AAC = ["-c:a", "aac", "-b:a", "128k"]
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "2", "-pix_fmt", "yuv420p"]


def ffmpeg(*words: str | Path) -> None:
    """Runs ffmpeg, quietly."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "fatal", "-y", *map(str, words)], check=True, timeout=120)


def pictures(rate: str = "25", seconds: float = SECONDS, size: str = "320x180") -> list[str]:
    """Returns the input with the pictures, which all differ."""
    return ["-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}"]


def sounds(seconds: float = SECONDS, samples: int = 48000, expression: str = SWEEP) -> list[str]:
    """Returns the input with the sound."""
    return ["-f", "lavfi", "-i", f"aevalsrc='{expression}':s={samples}:d={seconds}"]


@dataclass(frozen=True)
class Truth:
    """What a viewer should see and hear. Without `sound`, nothing."""

    rate: str = "25"
    seconds: float = SECONDS
    sound: str | None = SWEEP
    sound_seconds: float | None = None
    filters: str = "null"
    size: str = "320x180"
    # Seconds of the film at which the sound is compared; `None` means everywhere.
    places: tuple[float, ...] | None = None

    def make(self, folder: Path) -> Path:
        """Makes the clean film."""
        file = folder / "truth.mkv"
        heard = sounds(self.sound_seconds or self.seconds, expression=self.sound) if self.sound else []
        ffmpeg(*pictures(self.rate, self.seconds, self.size), *heard, "-vf", self.filters, *X264, "-c:a", "pcm_s16le", file)
        return file


@dataclass(frozen=True)
class Condition:
    """One condition."""

    name: str
    make: Callable[[Path], Path]
    truth: Truth = Truth()


def plain(name: str, *coding: str, rate: str = "25", samples: int = 48000, before: tuple[str, ...] = (), sound: bool = True) -> Callable[[Path], Path]:
    """Returns a maker of a film with this file name and coding."""

    def make(folder: Path) -> Path:
        heard = sounds(samples=samples) if sound else []
        ffmpeg(*pictures(rate), *heard, *before, *coding, folder / name)
        return folder / name

    return make


def from_base(name: str, *words: str, base: tuple[str, ...] = (*X264, *AAC), before: tuple[str, ...] = (), first: str = "base.mp4") -> Callable[[Path], Path]:
    """Returns a maker that makes a usual film first, and changes that."""

    def make(folder: Path) -> Path:
        ffmpeg(*pictures(), *sounds(), *base, folder / first)
        ffmpeg(*before, "-i", folder / first, *words, folder / name)
        return folder / name

    return make


def joined(folder: Path) -> Path:
    """Makes a stream whose clock jumps back in the middle."""
    ffmpeg(*pictures(), *sounds(), *X264, *AAC, folder / "part.ts")
    (folder / "twice.ts").write_bytes((folder / "part.ts").read_bytes() * 2)
    return folder / "twice.ts"


def late_sound(folder: Path) -> Path:
    """Makes a film whose sound begins half a second after its pictures."""
    ffmpeg(*pictures(), *sounds(SECONDS - 0.5), *X264, *AAC, folder / "base.mp4")
    base = folder / "base.mp4"
    ffmpeg("-i", base, "-itsoffset", "0.5", "-i", base, "-map", "0:v", "-map", "1:a", "-c", "copy", folder / "late.mkv")
    return folder / "late.mkv"


def without_some(folder: Path) -> Path:
    """Makes a stream of which a second of packets was lost on the way."""
    ffmpeg(*pictures(), *sounds(), *X264, *AAC, folder / "whole.ts")
    packets = (folder / "whole.ts").read_bytes()
    third = len(packets) // 188 // 3 * 188
    (folder / "lossy.ts").write_bytes(packets[:third] + packets[third + 188 * 12 :])
    return folder / "lossy.ts"


def named_rate(rate: str) -> Condition:
    """Returns the condition of a constant rate."""
    return Condition(f"constant {rate} pictures a second", plain("rate.mp4", *X264, *AAC, rate=rate), Truth(rate=rate))


def turned(degrees: int, filters: str) -> Condition:
    """Returns the condition of a phone held another way: the stored picture is turned, and a matrix turns it back."""
    return Condition(
        f"turned by {degrees} degrees",
        from_base("turned.mp4", "-c", "copy", "-metadata:s:v", f"rotate={degrees}", base=("-vf", filters, *X264, *AAC)),
    )


def sampled(samples: int, name: str, *coding: str) -> Condition:
    """Returns the condition of sound with this sample rate and coding."""
    return Condition(f"sound: {' '.join(coding[1:2])} at {samples} Hz in {name.rpartition('.')[2]}", plain(name, *X264, *coding, samples=samples))


def joined_forms(folder: Path) -> Path:
    """Makes a stream whose sound changes from six channels to two, as at the break of a broadcast."""
    late = "0.4*sin(2*PI*(300*(t+4)+90*(t+4)*(t+4)))"
    ffmpeg(*pictures(), *sounds(), *X264, "-c:a", "ac3", "-ac", "6", folder / "wide.ts")
    ffmpeg(*pictures(), *sounds(expression=late), *X264, "-c:a", "ac3", "-ac", "2", "-output_ts_offset", "4", folder / "narrow.ts")
    (folder / "both.ts").write_bytes((folder / "wide.ts").read_bytes() + (folder / "narrow.ts").read_bytes())
    return folder / "both.ts"


def late_start(folder: Path) -> Path:
    """Makes a stream whose sound begins after the five seconds in which ffmpeg looks for it."""
    ffmpeg(*pictures(seconds=8), "-itsoffset", "6", *sounds(2), *X264[:-2], "-b:v", "9M", "-minrate", "9M", "-maxrate", "9M", "-bufsize", "9M",
           "-x264-params", "nal-hrd=cbr", *AAC, folder / "late.ts")
    return folder / "late.ts"


# The films that are cut into chunks: as small as can be, and just as long as that needs.
LONG = 20
LONG_RATE = "15"
LONG_SIZE = "160x90"
IN_CHUNKS = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p", "-g", "15")


def long_film(name: str, *coding: str, before: tuple[str, ...] = (), rate: str = LONG_RATE) -> Callable[[Path], Path]:
    """Returns a maker of a film that is long enough to be cut into chunks."""

    def make(folder: Path) -> Path:
        ffmpeg(*pictures(rate, LONG, LONG_SIZE), *sounds(LONG), *before, *coding, folder / name)
        return folder / name

    return make


def long_changed(name: str, *words: str, before: tuple[str, ...] = (), first: tuple[str, ...] = ()) -> Callable[[Path], Path]:
    """Returns a maker that makes such a film first, with more options, and changes it without encoding it again."""

    def make(folder: Path) -> Path:
        ffmpeg(*before, "-i", long_film("base.mp4", *first, *IN_CHUNKS, *AAC)(folder), "-c", "copy", *words, folder / name)
        return folder / name

    return make


def long_truth(filters: str = "null", rate: str = LONG_RATE, **other: object) -> Truth:
    """Returns the truth of a film that is long enough to be cut."""
    return Truth(rate=rate, seconds=LONG, size=LONG_SIZE, filters=filters, **other)


SHIFTED = "-copyts", "-muxdelay", "0", "-muxpreload", "0"
TINY_CLOCK = "-enc_time_base", "1:90000", "-video_track_timescale", "90000", "-vsync", "passthrough"
LATE = "if(lt(t,0.5),0,0.4*sin(2*PI*(300*(t-0.5)+90*(t-0.5)*(t-0.5))))"

# ffmpeg writes AVI with an empty frame after the first one, which players show for two frames' time.
FIRST_TWICE = Truth(filters="tpad=start=1:start_mode=clone")

CONDITIONS = [
    # Containers and codecs.
    Condition("MP4 with H.264 and AAC", plain("a.mp4", *X264, *AAC)),
    Condition("MP4 in fragments", plain("a.mp4", *X264, *AAC, "-movflags", "frag_keyframe+empty_moov")),
    Condition("MOV with ProRes and PCM", plain("a.mov", "-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le")),
    Condition("MOV with JPEG pictures", plain("a.mov", "-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le")),
    Condition("MKV with H.265 and FLAC", plain("a.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-c:a", "flac")),
    Condition("WebM with VP9 and Opus", plain("a.webm", "-c:v", "libvpx-vp9", "-cpu-used", "8", "-b:v", "2M", "-c:a", "libopus")),
    Condition("WebM with VP8 and Vorbis", plain("a.webm", "-c:v", "libvpx", "-cpu-used", "8", "-b:v", "2M", "-c:a", "libvorbis")),
    Condition("TS with H.264 and AAC", plain("a.ts", *X264, *AAC)),
    Condition("TS with MPEG-2 and AC-3", plain("a.ts", *MPEG2, "-c:a", "ac3")),
    Condition("program stream (VOB)", plain("a.vob", *MPEG2, "-c:a", "ac3", "-f", "vob")),
    Condition("AVI with MPEG-4 and MP3", plain("a.avi", "-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame"), FIRST_TWICE),
    Condition("FLV", plain("a.flv", *X264, *AAC)),
    Condition("WMV", plain("a.wmv", "-c:v", "wmv2", "-q:v", "2", "-c:a", "wmav2")),
    Condition("MXF", plain("a.mxf", *MPEG2, "-c:a", "pcm_s16le")),
    Condition("Ogg with Theora and Vorbis", plain("a.ogv", "-c:v", "libtheora", "-q:v", "9", "-c:a", "libvorbis")),
    # Rates.
    *map(named_rate, ("24000/1001", "24", "30000/1001", "30", "50", "60000/1001", "15", "12")),
    # Uneven times.
    Condition("times jitter by 18 ms", plain("a.mp4", "-vf", "settb=1/90000,setpts='PTS+0.018*sin(N*1.7)/TB'", *TINY_CLOCK, *X264, *AAC)),
    Condition("times rounded to milliseconds (MKV at 29.97)", plain("a.mkv", *X264, *AAC, rate="30000/1001"), Truth(rate="30000/1001")),
    Condition("every eighth picture is missing", plain("a.mp4", "-vf", "select='mod(n,8)-7'", "-vsync", "vfr", *X264, *AAC),
              Truth(filters="select='mod(n,8)-7',fps=25")),
    Condition("a still second (screen recording)", plain("a.mp4", "-vf", "select='not(between(n,30,54))'", "-vsync", "vfr", *X264, *AAC),
              Truth(filters="select='not(between(n,30,54))',fps=25:round=up")),
    # Starts.
    Condition("sound begins half a second later", late_sound, Truth(sound=LATE)),
    Condition("clock begins at an hour (TS)", plain("a.ts", *X264, *AAC, "-output_ts_offset", "3600")),
    Condition("clock begins near its end and wraps (TS)", plain("a.ts", *X264, *AAC, "-output_ts_offset", "95441.7")),
    Condition("clock begins at 10 s (MKV)", plain("a.mkv", *X264, *AAC, "-output_ts_offset", "10")),
    Condition("edit list cuts the first half second", from_base("a.mp4", "-c", "copy", before=("-ss", "0.48"), base=(*X264, "-bf", "2", *AAC)),
              Truth(sound="0.4*sin(2*PI*(300*(t+0.48)+90*(t+0.48)*(t+0.48)))", sound_seconds=3.52, filters="trim=start=0.48,setpts=PTS-STARTPTS")),
    # Sound.
    sampled(8000, "a.mp4", "-c:a", "aac"),
    sampled(16000, "a.mp4", "-c:a", "aac"),
    sampled(22050, "a.mp4", "-c:a", "aac"),
    sampled(44100, "a.mp4", "-c:a", "aac"),
    Condition("sound: libmp3lame at 44100 Hz in avi", plain("a.avi", *X264, "-c:a", "libmp3lame", samples=44100), FIRST_TWICE),
    sampled(96000, "a.mkv", "-c:a", "flac"),
    sampled(48000, "a.mkv", "-c:a", "libopus"),
    Condition("sound in six channels", plain("a.mkv", *X264, "-c:a", "ac3", "-ac", "6")),
    Condition("sound in one channel of eight", plain("a.mov", *X264, "-c:a", "pcm_s16le", "-ac", "8")),
    Condition("no sound", plain("a.mp4", *X264, sound=False), Truth(sound=None)),
    Condition("one sound packet lost in MP4", from_base("a.mp4", "-c", "copy", "-bsf:a", "noise=drop=eq(n\\,100)"), Truth(places=(0.5, 1.2, 2.6, 3.3))),
    Condition("one sound packet lost in MKV", from_base("a.mkv", "-c", "copy", "-bsf:a", "noise=drop=eq(n\\,60)"), Truth(places=(0.3, 2.2, 3.2))),
    Condition("sound's clock is 0.05 % fast", plain("a.mkv", "-af", "asetpts='PTS*0.9995'", *X264, "-c:a", "pcm_s16le")),
    # Shapes.
    turned(90, "transpose=clock"),
    turned(180, "hflip,vflip"),
    turned(270, "transpose=cclock"),
    Condition("pixels twice as wide as high", plain("a.mp4", "-vf", "scale=160:180,setsar=2", *X264, *AAC)),
    Condition("odd width and height", plain("a.mkv", "-vf", "scale=321:181", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv444p", *AAC)),
    Condition("portrait", plain("a.mp4", "-vf", "scale=180:320", *X264, *AAC)),
    Condition("very small", plain("a.mp4", "-vf", "scale=64:36", *X264, *AAC), Truth(filters="scale=64:36,scale=320:180")),
    # Samples.
    Condition("10 bit", plain("a.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p10le", *AAC)),
    Condition("full range", plain("a.mp4", "-vf", "scale=out_range=pc", "-color_range", "pc", *X264, *AAC)),
    Condition("RGB", plain("a.mkv", "-c:v", "ffv1", "-pix_fmt", "bgr0", "-c:a", "flac")),
    Condition("with alpha", plain("a.mov", "-c:v", "qtrle", "-pix_fmt", "argb", "-c:a", "pcm_s16le")),
    Condition("grey", plain("a.mkv", "-c:v", "ffv1", "-pix_fmt", "gray", "-c:a", "flac")),
    # Fields.
    Condition("interlaced, top field first", plain("a.ts", "-vf", "tinterlace=interleave_top,fieldorder=tff", *MPEG2, "-flags", "+ilme+ildct", "-top", "1", "-c:a", "ac3", rate="50"),
              Truth(rate="50", filters="framestep=2")),
    Condition("interlaced, bottom field first", plain("a.ts", "-vf", "tinterlace=interleave_bottom,fieldorder=bff", *MPEG2, "-flags", "+ilme+ildct", "-top", "0", "-c:a", "ac3", rate="50"),
              Truth(rate="50", filters="framestep=2")),
    # Groups of pictures.
    Condition("refreshed bit by bit", plain("a.mp4", *X264[:-2], "-x264-params", "intra-refresh=1:keyint=20", *AAC)),
    Condition("only key pictures", plain("a.mp4", *X264[:-2], "-g", "1", *AAC)),
    Condition("one key picture for the whole film", plain("a.mp4", *X264[:-2], "-g", "1000", "-bf", "3", *AAC)),
    # Damage.
    Condition("clock jumps back (joined TS)", joined, Truth(seconds=8, sound=f"if(lt(t,4),{SWEEP},0.4*sin(2*PI*(300*(t-4)+90*(t-4)*(t-4))))",
                                                      filters="trim=end_frame=100,loop=loop=1:size=100,setpts=N/25/TB", places=(0.5, 2, 3, 5, 6, 7))),
    Condition("packets lost on the way (TS)", without_some, Truth(places=(0.3, 2.6, 3.3))),
    Condition("sound changes from 5.1 to stereo (TS)", joined_forms,
              Truth(seconds=8, filters="trim=end_frame=100,loop=loop=1:size=100,setpts=N/25/TB", places=(0.5, 2, 3, 5.5, 6, 7))),
    Condition("sound begins after six seconds (TS)", late_start,
              Truth(seconds=8, sound="if(lt(t,6),0,0.4*sin(2*PI*(300*(t-6)+90*(t-6)*(t-6))))", places=(6.2, 6.8, 7.3))),
    Condition("10 pictures a second with many holes", plain("a.mp4", "-vf", "select='not(mod(n,3)*mod(n,7))'", "-vsync", "vfr", *X264, *AAC, rate="10"),
              Truth(rate="10", filters="select='not(mod(n,3)*mod(n,7))',fps=10")),
    # What the cases of bug reports need, in the other containers that can hold them.
    *(Condition(f"one sound packet lost in {name.rpartition('.')[2].upper()}", from_base(name, "-c", "copy", "-bsf:a", "noise=drop=eq(n\\,100)"),
                Truth(places=(0.5, 1.2, 2.6, 3.3))) for name in ("a.mov", "a.ts", "a.flv")),
    *(Condition(f"refreshed bit by bit in {name.rpartition('.')[2].upper()}", plain(name, *X264[:-2], "-x264-params", "intra-refresh=1:keyint=20", *AAC))
      for name in ("a.mov", "a.mkv", "a.ts")),
    *(Condition(f"times jitter by 18 ms in {name.rpartition('.')[2].upper()}",
                plain(name, "-vf", "settb=1/90000,setpts='PTS+0.018*sin(N*1.7)/TB'", "-enc_time_base", "1:90000", "-vsync", "passthrough", *X264, *AAC))
      for name in ("a.mov", "a.mkv", "a.ts")),
    *(Condition(f"RGB in {name.rpartition('.')[2].upper()}", plain(name, *coding), truth) for name, coding, truth in (
        ("a.mov", ("-c:v", "png", "-pix_fmt", "rgb24", "-c:a", "pcm_s16le"), Truth()),
        ("a.avi", ("-c:v", "rawvideo", "-pix_fmt", "bgr24", "-c:a", "pcm_s16le"), Truth()))),
    *(sampled(8000, name, *coding) for name, coding in (("a.mov", ("-c:a", "aac")), ("a.mkv", ("-c:a", "aac")), ("a.ts", ("-c:a", "aac")))),
    *(Condition(f"DV with bottom fields in {name.rpartition('.')[2].upper()}",
                plain(name, "-vf", "scale=720:576,tinterlace=interleave_bottom,fieldorder=bff,setsar=1", "-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", rate="50"),
                Truth(rate="50", filters="framestep=2")) for name in ("a.mov", "a.mkv")),
]

# Each is made with chunks and without.
IN_CHUNKS_OR_WHOLE = [
    Condition("MP4", long_film("a.mp4", *IN_CHUNKS, *AAC), long_truth()),
    Condition("MOV, pictures that refer to later ones", long_film("a.mov", *IN_CHUNKS, "-bf", "3", *AAC), long_truth()),
    Condition("MKV with H.265", long_film("a.mkv", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=15", *AAC), long_truth()),
    Condition("WebM with VP9 and Opus", long_film("a.webm", "-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-g", "15", "-b:v", "1M", "-c:a", "libopus"), long_truth()),
    Condition("refreshed bit by bit", long_film("a.mp4", *IN_CHUNKS, "-x264-params", "intra-refresh=1:keyint=15", *AAC), long_truth()),
    Condition("groups that refer to the one before", long_film("a.mp4", *IN_CHUNKS, "-x264-params", "open-gop=1:bframes=3", *AAC), long_truth()),
    Condition("one key picture in four seconds", long_film("a.mkv", *IN_CHUNKS[:-1], "60", *AAC), long_truth()),
    Condition("times jitter", long_film("a.mp4", "-vf", "settb=1/90000,setpts='PTS+0.025*sin(N*1.7)/TB'", *TINY_CLOCK, *IN_CHUNKS, *AAC), long_truth()),
    Condition("every eighth picture is missing", long_film("a.mp4", "-vf", "select='mod(n,8)-7'", "-vsync", "vfr", *IN_CHUNKS, *AAC),
              long_truth("select='mod(n,8)-7',fps=15")),
    Condition("times rounded to milliseconds (MKV at 29.97)", long_film("a.mkv", *IN_CHUNKS, *AAC, rate="30000/1001"), long_truth(rate="30000/1001")),
    Condition("turned by 90 degrees", long_changed("a.mp4", "-metadata:s:v", "rotate=90", first=("-vf", "transpose=clock")), long_truth()),
    Condition("one sound packet lost", long_changed("a.mp4", "-bsf:a", "noise=drop=eq(n\\,400)"), long_truth(places=(1, 5, 7, 11, 15, 19))),
    Condition("edit list cuts the first half second", long_changed("a.mp4", before=("-ss", "0.4")),
              long_truth("trim=start=0.4,setpts=PTS-STARTPTS", sound="0.4*sin(2*PI*(300*(t+0.4)+90*(t+0.4)*(t+0.4)))", sound_seconds=LONG - 0.4)),
    Condition("full range", long_film("a.mp4", "-vf", "scale=out_range=pc", "-color_range", "pc", *IN_CHUNKS, *AAC), long_truth()),
]


@dataclass(frozen=True)
class Colour:
    """A film of one colour, and that colour in red, green and blue as a browser should show it."""

    name: str
    coding: tuple[str, ...]
    file: str = "a.mp4"
    size: str = "320x180"
    rgb: tuple[int, int, int] = (0, 192, 0)

    def make(self, folder: Path) -> Path:
        """Makes the film."""
        shade = "0x%02X%02X%02X" % self.rgb
        ffmpeg("-f", "lavfi", "-i", f"color={shade}:s={self.size}:d=2:r=25,format=rgb24", *self.coding, folder / self.file)
        return folder / self.file


def _in_matrix(matrix: str, tags: str | None, full: bool = False) -> tuple[str, ...]:
    """Returns the coding of a film in this matrix, with these tags."""
    extent = "pc" if full else "tv"
    named = ["-colorspace", tags, "-color_primaries", tags, "-color_trc", tags] if tags else []
    return ("-vf", f"scale=out_color_matrix={matrix}:out_range={extent},format=yuv420p", *X264[:-4], "-pix_fmt", "yuv420p",
            *named, *(["-color_range", "pc"] if full else []))


COLOURS = [
    Colour("HD without tags", _in_matrix("bt709", None), size="1280x720"),
    Colour("HD without tags, another colour", _in_matrix("bt709", None), size="1280x720", rgb=(200, 40, 90)),
    Colour("SD without tags", _in_matrix("bt601", None), size="640x360"),
    Colour("SD in BT.709 with tags", _in_matrix("bt709", "bt709"), size="640x360"),
    Colour("HD in BT.601 with tags", _in_matrix("bt601", "smpte170m"), size="1280x720"),
    Colour("HD in full range", _in_matrix("bt709", "bt709", full=True), size="1280x720", rgb=(30, 60, 220)),
    Colour("HD in RGB (PNG in MOV)", ("-c:v", "png"), "a.mov", "1280x720"),
    Colour("SD in RGB (FFV1 in MKV)", ("-c:v", "ffv1", "-pix_fmt", "bgr0"), "a.mkv", "640x360", (134, 63, 51)),
    Colour("HD in RGB, another colour", ("-c:v", "ffv1", "-pix_fmt", "bgr0"), "a.mkv", "1280x720", (134, 63, 51)),
]
