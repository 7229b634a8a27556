"""Is each kind of output what its settings ask for? Compares ffprobe's facts with the settings, for a synthetic clip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, ROLE, fail, h264, loudness_lkfs, output, refuse, run, seconds_of_sound, settings, streams, upload

FILM = Clip(width=640, height=360, rate="25", frames=100)
H265 = {"Codec": "H_265", "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 800_000, "QualityTuningLevel": "SINGLE_PASS"}}
MAIN10 = {"Codec": "H_265", "H265Settings": H265["H265Settings"] | {"CodecProfile": "MAIN10_MAIN"}}
VP9 = {"Codec": "VP9", "Vp9Settings": {"RateControlMode": "VBR", "Bitrate": 600_000, "MaxBitrate": 900_000}}
AV1 = {"Codec": "AV1", "Av1Settings": {"RateControlMode": "QVBR", "MaxBitrate": 900_000, "QvbrSettings": {"QvbrQualityLevel": 6}}}
MP2 = {"Codec": "MP2", "Mp2Settings": {"Bitrate": 128_000, "Channels": 2, "SampleRate": 48_000}}
MP3 = {"Codec": "MP3", "Mp3Settings": {"RateControlMode": "CBR", "Bitrate": 128_000, "Channels": 2, "SampleRate": 44_100}}
MP3_VBR = {"Codec": "MP3", "Mp3Settings": {"RateControlMode": "VBR", "VbrQuality": 4, "Channels": 1, "SampleRate": 48_000}}
AC3 = {"Codec": "AC3", "Ac3Settings": {"CodingMode": "CODING_MODE_3_2_LFE", "Bitrate": 384_000}}
EAC3 = {"Codec": "EAC3", "Eac3Settings": {"CodingMode": "CODING_MODE_2_0", "Bitrate": 192_000}}
OPUS = {"Codec": "OPUS", "OpusSettings": {"Bitrate": 96_000, "Channels": 2, "SampleRate": 48_000}}
VORBIS = {"Codec": "VORBIS", "VorbisSettings": {"VbrQuality": 3, "Channels": 2, "SampleRate": 48_000}}
FLAC = {"Codec": "FLAC", "FlacSettings": {"BitDepth": 24, "Channels": 2, "SampleRate": 48_000}}
WAV = {"Codec": "WAV", "WavSettings": {"BitDepth": 24, "Channels": 2, "SampleRate": 48_000}}
AIFF = {"Codec": "AIFF", "AiffSettings": {"BitDepth": 16, "Channels": 1, "SampleRate": 44_100}}

# Name → (output, extension, video codec and pixel format, audio tracks as codec, channels, sampling rate).
KINDS: dict[str, tuple[dict, str, tuple[str, str] | None, list[tuple[str, int, int]]]] = {
    "h264-mov": (output("MOV", h264(), [AAC]), "mov", ("h264", "yuv420p"), [("aac", 2, 48_000)]),
    "h264-mov-wav": (output("MOV", h264(), [WAV]), "mov", ("h264", "yuv420p"), [("pcm_s24le", 2, 48_000)]),
    "h264-m2ts": (output("M2TS", h264(), [MP2, AC3]), "m2ts", ("h264", "yuv420p"), [("mp2", 2, 48_000), ("ac3", 6, 48_000)]),
    "h265-mp4": (output("MP4", H265, [EAC3]), "mp4", ("hevc", "yuv420p"), [("eac3", 2, 48_000)]),
    "h265-10-mp4": (output("MP4", MAIN10, [AAC]), "mp4", ("hevc", "yuv420p10le"), [("aac", 2, 48_000)]),
    "h265-m2ts": (output("M2TS", H265, [AAC]), "m2ts", ("hevc", "yuv420p"), [("aac", 2, 48_000)]),
    "vp9-webm": (output("WEBM", VP9, [OPUS]), "webm", ("vp9", "yuv420p"), [("opus", 2, 48_000)]),
    "av1-mp4": (output("MP4", AV1, [OPUS]), "mp4", ("av1", "yuv420p"), [("opus", 2, 48_000)]),
    "av1-webm": (output("WEBM", AV1, [VORBIS]), "webm", ("av1", "yuv420p"), [("vorbis", 2, 48_000)]),
    "silent": (output("MP4", h264()), "mp4", ("h264", "yuv420p"), []),
    "aac": (output("MP4", None, [AAC]), "mp4", None, [("aac", 2, 48_000)]),
    "aac-raw": (output("RAW", None, [AAC]), "aac", None, [("aac", 2, 48_000)]),
    "mp2-raw": (output("RAW", None, [MP2]), "mp2", None, [("mp2", 2, 48_000)]),
    "mp3-raw": (output("RAW", None, [MP3]), "mp3", None, [("mp3", 2, 44_100)]),
    "mp3-vbr-raw": (output("RAW", None, [MP3_VBR]), "mp3", None, [("mp3", 1, 48_000)]),
    "ac3-raw": (output("RAW", None, [AC3]), "ac3", None, [("ac3", 6, 48_000)]),
    "eac3-raw": (output("RAW", None, [EAC3]), "ec3", None, [("eac3", 2, 48_000)]),
    "flac-raw": (output("RAW", None, [FLAC]), "flac", None, [("flac", 2, 48_000)]),
    "flac-mp4": (output("MP4", None, [FLAC]), "mp4", None, [("flac", 2, 48_000)]),
    "wav": (output("RAW", None, [WAV]), "wav", None, [("pcm_s24le", 2, 48_000)]),
    "aiff": (output("RAW", None, [AIFF]), "aiff", None, [("pcm_s16be", 1, 44_100)]),
    "opus-ogg": (output("OGG", None, [OPUS]), "ogg", None, [("opus", 2, 48_000)]),
    "vorbis-ogg": (output("OGG", None, [VORBIS]), "ogg", None, [("vorbis", 2, 48_000)]),
    "m2ts-sound": (output("M2TS", None, [MP2]), "m2ts", None, [("mp2", 2, 48_000)]),
}


@pytest.fixture(scope="module")
def film(server: Server, clips: Clips) -> str:
    """The URL of the clip."""
    server.s3.create_bucket(Bucket="masters")
    return upload(server, clips.file(FILM), "film.mp4")


@pytest.fixture(scope="module")
def made(server: Server, film: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of all kinds, made by one job."""
    outputs = [kind | {"NameModifier": f"_{name}"} for name, (kind, *_) in KINDS.items()]
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    run(server, settings([{"FileInput": film, "AudioSelectors": selectors}], outputs, "s3://renditions/kinds/film"))
    folder = tmp_path_factory.mktemp("kinds")
    files = {}
    for name, (_, extension, *_) in KINDS.items():
        files[name] = folder / f"{name}.{extension}"
        server.download(f"kinds/film_{name}.{extension}", files[name])
    return files


@pytest.mark.parametrize("name", KINDS)
def test_output_kind_matches_its_settings(name: str, made: dict[str, Path]) -> None:
    _, _, video, sounds = KINDS[name]
    found = streams(made[name])
    pictures = [stream for stream in found if stream["codec_type"] == "video"]
    heard = [stream for stream in found if stream["codec_type"] == "audio"]
    if video is None:
        assert not pictures
    else:
        (picture,) = pictures
        assert (picture["codec_name"], picture["pix_fmt"]) == video
        assert (picture["width"], picture["height"], int(picture["nb_read_packets"])) == (320, 180, FILM.frames)
    assert [(one["codec_name"], one["channels"], int(one["sample_rate"])) for one in heard] == sounds
    if sounds:
        # Raw streams include the encoder delay and padding, about a frame each.
        assert abs(float(seconds_of_sound(made[name]) - FILM.seconds)) < 0.08, name
    complaints = decode_complaints(made[name])
    assert not complaints, complaints


def test_audio_and_video_start_together(made: dict[str, Path]) -> None:
    for name, (_, _, video, sounds) in KINDS.items():
        if video is None or not sounds:
            continue
        found = streams(made[name])
        starts = [float(stream["start_time"]) for stream in found]
        # In a container without edit lists, audio starts early by the encoder delay: 1024 samples at most.
        assert -0.001 <= starts[0] - starts[1] <= 0.027, (name, starts)


def test_audio_tracks_keep_their_languages(server: Server, film: str, tmp_path: Path) -> None:
    sounds = [
        {"CodecSettings": AAC, "LanguageCode": "SPA", "StreamName": "Español"},
        {"CodecSettings": AAC, "LanguageCode": "ENG", "AudioSourceName": "Audio Selector 1"},
    ]
    run(server, settings([{"FileInput": film}], [output("MP4", h264(), sounds)], "s3://renditions/several/film"))
    file = tmp_path / "several.mp4"
    server.download("several/film.mp4", file)
    found = [stream for stream in streams(file) if stream["codec_type"] == "audio"]
    assert [stream["tags"]["language"] for stream in found] == ["spa", "eng"]
    assert [stream["disposition"]["default"] for stream in found] == [1, 0]


def test_transport_stream_has_its_pids_and_rate(server: Server, film: str, tmp_path: Path) -> None:
    m2ts = {"RateMode": "CBR", "Bitrate": 3_000_000, "VideoPid": 500, "AudioPids": [600], "PmtPid": 400, "ProgramNumber": 7}
    wanted = output("M2TS", h264(), [AAC]) | {"ContainerSettings": {"Container": "M2TS", "M2tsSettings": m2ts}}
    run(server, settings([{"FileInput": film}], [wanted], "s3://renditions/numbers/film"))
    file = tmp_path / "numbers.m2ts"
    server.download("numbers/film.m2ts", file)
    assert [stream["id"] for stream in streams(file)] == [hex(500), hex(600)]
    bits_a_second = file.stat().st_size * 8 / float(FILM.seconds)
    assert math.isclose(bits_a_second, 3_000_000, rel_tol=0.1), bits_a_second


def test_audio_is_normalised_to_its_target(server: Server, film: str, tmp_path: Path) -> None:
    loud = {"Algorithm": "ITU_BS_1770_3", "AlgorithmControl": "CORRECT_AUDIO", "TargetLkfs": -16.0}
    sounds = [{"CodecSettings": WAV, "AudioNormalizationSettings": loud}]
    outputs = [
        output("RAW", None, sounds, NameModifier="_loud"),
        output("RAW", None, [WAV], NameModifier="_plain"),
    ]
    run(server, settings([{"FileInput": film}], outputs, "s3://renditions/loudness/film"))
    measured = {}
    for name in ("loud", "plain"):
        server.download(f"loudness/film_{name}.wav", tmp_path / f"{name}.wav")
        measured[name] = loudness_lkfs(tmp_path / f"{name}.wav")
    assert abs(measured["loud"] + 16) < 0.5, measured
    assert abs(measured["plain"] + 16) > 1, "the source itself must not already have the target loudness"


def test_channels_are_remixed(server: Server, film: str, tmp_path: Path) -> None:
    rows = [{"InputChannels": [-60, -60]}, {"InputChannels": [0, -60]}]
    remix = {"ChannelsIn": 2, "ChannelsOut": 2, "ChannelMapping": {"OutputChannels": rows}}
    wanted = output("RAW", None, [{"CodecSettings": WAV, "RemixSettings": remix}])
    run(server, settings([{"FileInput": film}], [wanted], "s3://renditions/remix/film"))
    file = tmp_path / "remix.wav"
    server.download("remix/film.wav", file)
    samples = file.read_bytes()[-60_000 * 6 :]
    left = any(samples[index] or samples[index + 1] or samples[index + 2] for index in range(0, len(samples), 6))
    right = any(samples[index + 3] or samples[index + 4] for index in range(0, len(samples), 6))
    assert (left, right) == (False, True)


def test_audio_input_gives_audio_outputs_only(server: Server, made: dict[str, Path], tmp_path: Path) -> None:
    song = upload(server, made["flac-raw"], "song.flac")
    done = run(server, settings([{"FileInput": song}], [output("RAW", None, [MP3])], "s3://renditions/song/"))
    server.download("song/song.mp3", tmp_path / "song.mp3")
    assert [stream["codec_name"] for stream in streams(tmp_path / "song.mp3")] == ["mp3"]
    (detail,) = done["OutputGroupDetails"][0]["OutputDetails"]
    assert "VideoDetails" not in detail and abs(detail["DurationInMs"] - 4000) < 100, detail
    failed = fail(server, settings([{"FileInput": song}], [output("MP4", h264(), [AAC])], "s3://renditions/song-video/"))
    assert failed["ErrorCode"] == 1020 and "song.flac" in failed["ErrorMessage"], failed


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (output("WEBM", h264(), [OPUS]), "H_264 is not supported in WEBM"),
        (output("MP4", h264(), [WAV]), "WAV is not supported in MP4"),
        (output("RAW", None, [OPUS]), "use OGG"),
    ],
)
def test_codec_in_wrong_container_is_named(server: Server, film: str, wanted: dict, message: str) -> None:
    assert message in refuse(server, settings([{"FileInput": film}], [wanted], "s3://renditions/wrong/film"))


def test_codec_without_free_encoder_is_refused(server: Server, film: str) -> None:
    wanted = output("MP4", h264(), [{"Codec": "AC4"}])
    with pytest.raises(ClientError, match="codec AC4 is not supported"):
        server.mediaconvert.create_job(Role=ROLE, Settings=settings([{"FileInput": film}], [wanted], "s3://renditions/x"))
