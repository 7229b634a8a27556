"""Is an HLS output what players need? Checks the playlists, segments and timing of finished jobs."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from browser import browser, play
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints

FILM = Clip(width=640, height=360, rate="30000/1001", frames=300)
ROLE = "arn:aws:iam::000000000000:role/r"


def rung(name: str, width: int, height: int, hls: dict | None = None) -> dict:
    """Returns one output of the group."""
    h264 = {"RateControlMode": "QVBR", "MaxBitrate": 1_500_000, "GopSizeUnits": "AUTO"}
    aac = {"Bitrate": 96_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}
    return {
        "NameModifier": name,
        "ContainerSettings": {"Container": "M3U8"},
        "OutputSettings": {"HlsSettings": hls or {}},
        "VideoDescription": {
            "Width": width,
            "Height": height,
            "CodecSettings": {"Codec": "H_264", "H264Settings": h264},
        },
        "AudioDescriptions": [{"CodecSettings": {"Codec": "AAC", "AacSettings": aac}}],
    }


def submit(server: Server, clip: Path, prefix: str, group: dict, outputs: list[dict]) -> dict:
    """Runs an HLS job on `clip` until it ends."""
    key = f"hls-source/{prefix}.mp4"
    server.s3.put_object(Bucket="masters", Key=key, Body=clip.read_bytes())
    settings = {"Destination": f"s3://renditions/{prefix}/film", "SegmentLength": 4, "MinSegmentLength": 0} | group
    job = server.mediaconvert.create_job(
        Role=ROLE,
        Settings={
            "Inputs": [
                {
                    "FileInput": f"s3://masters/{key}",
                    "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}},
                }
            ],
            "OutputGroups": [
                {
                    "OutputGroupSettings": {"Type": "HLS_GROUP_SETTINGS", "HlsGroupSettings": settings},
                    "Outputs": outputs,
                }
            ],
        },
    )["Job"]
    done = server.wait_status(job["Id"])
    assert done["Status"] == "COMPLETE", done
    return done


def download(server: Server, prefix: str, folder: Path) -> Path:
    """Downloads all objects below `prefix` and keeps their folders."""
    for key in server.keys(prefix=f"{prefix}/"):
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        server.download(key, file)
    return folder / prefix


def segments(playlist: Path) -> list[tuple[Fraction, str]]:
    """Returns the length and path of every segment."""
    lines = playlist.read_text().splitlines()
    lengths = [Fraction(line.removeprefix("#EXTINF:").rstrip(",")) for line in lines if line.startswith("#EXTINF:")]
    return list(zip(lengths, [line for line in lines if line and not line.startswith("#")], strict=True))


def first_video_packet(file: Path) -> tuple[Fraction, bool]:
    """Returns the time of a segment's first video packet, and whether it is a key frame."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pts_time,flags"]
    out = subprocess.run([*command, "-of", "csv=p=0", file], check=True, capture_output=True, text=True, timeout=60)
    pts, flags = out.stdout.split()[0].split(",")[:2]
    return Fraction(pts), "K" in flags


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


def test_rungs_are_cut_at_the_same_key_frames(masters: Server, clips: Clips, tmp_path: Path) -> None:
    job = submit(masters, clips.file(FILM), "aligned", {}, [rung("_360", 640, 360), rung("_180", 320, 180)])
    assert job["OutputGroupDetails"][0]["OutputDetails"][1]["VideoDetails"] == {"WidthInPx": 320, "HeightInPx": 180}
    folder = download(masters, "aligned", tmp_path)
    names = [f"film{name}_{number:05}.ts" for name in ("_180", "_360") for number in (1, 2, 3)]
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        [*names, "film.m3u8", "film_180.m3u8", "film_360.m3u8"]
    )
    starts = {}
    for name in ("_360", "_180"):
        listed = segments(folder / f"film{name}.m3u8")
        assert abs(sum(length for length, _ in listed) - Fraction(300 * 1001, 30000)) < Fraction(1, 10_000)
        packets = [first_video_packet(folder / path) for _, path in listed]
        assert all(is_key for _, is_key in packets)
        starts[name] = [pts for pts, _ in packets]
    assert starts["_360"] == starts["_180"]
    # Segments start at the first frame at or after 0, 4 and 8 s.
    expected = [Fraction(frame * 1001, 30000) for frame in (0, 120, 240)]
    assert all(
        abs((pts - starts["_360"][0]) - at) < Fraction(1, 1000)
        for pts, at in zip(starts["_360"], expected, strict=True)
    )


def test_ffmpeg_plays_the_multivariant_playlist(masters: Server, clips: Clips, tmp_path: Path) -> None:
    submit(masters, clips.file(FILM), "played", {}, [rung("_360", 640, 360, {"SegmentModifier": "-s"})])
    folder = download(masters, "played", tmp_path)
    text = (folder / "film.m3u8").read_text()
    assert 'CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=29.970' in text
    assert (folder / "film_360-s_00001.ts").exists()
    assert decode_complaints(folder / "film.m3u8") == ""


def test_single_file_is_addressed_by_byte_ranges(masters: Server, clips: Clips, tmp_path: Path) -> None:
    group = {"SegmentControl": "SINGLE_FILE"}
    outputs = [rung("_360", 640, 360, {"IFrameOnlyManifest": "INCLUDE"})]
    submit(masters, clips.file(FILM), "single", group, outputs)
    folder = download(masters, "single", tmp_path)
    assert sorted(file.suffix for file in folder.iterdir()) == [".m3u8", ".m3u8", ".m3u8", ".ts"]
    media = folder / "film_360.ts"
    ranges = [
        tuple(map(int, line.removeprefix("#EXT-X-BYTERANGE:").split("@")))
        for line in (folder / "film_360.m3u8").read_text().splitlines()
        if line.startswith("#EXT-X-BYTERANGE:")
    ]
    assert len(ranges) == 3
    assert sum(length for length, _ in ranges) == media.stat().st_size
    assert [offset for _, offset in ranges] == [0, ranges[0][0], ranges[0][0] + ranges[1][0]]
    assert decode_complaints(folder / "film.m3u8") == ""
    (folder / "key.ts").write_bytes(media.read_bytes()[: _first_range(folder / "film_360_I-Frame.m3u8")])
    assert first_video_packet(folder / "key.ts")[1]


def test_manifest_settings_take_effect(masters: Server, clips: Clips, tmp_path: Path) -> None:
    group = {
        "ManifestDurationFormat": "INTEGER",
        "ClientCache": "DISABLED",
        "StreamInfResolution": "EXCLUDE",
        "DirectoryStructure": "SUBDIRECTORY_PER_STREAM",
        "ProgramDateTime": "INCLUDE",
        "ProgramDateTimePeriod": 4,
    }
    submit(masters, clips.file(FILM), "styled", group, [rung("_360", 640, 360)])
    folder = download(masters, "styled", tmp_path)
    media = (folder / "film_360.m3u8").read_text()
    assert "#EXTINF:4,\nfilm_360/film_360_00001.ts\n" in media
    assert "#EXT-X-ALLOW-CACHE:NO\n" in media
    assert media.count("#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:0") == 3
    assert "RESOLUTION" not in (folder / "film.m3u8").read_text()
    assert decode_complaints(folder / "film.m3u8") == ""


def test_segments_only_writes_no_manifest(masters: Server, clips: Clips) -> None:
    submit(masters, clips.file(FILM), "bare", {"OutputSelection": "SEGMENTS_ONLY"}, [rung("_360", 640, 360)])
    assert masters.keys(prefix="bare/") == [f"bare/film_360_0000{number}.ts" for number in (1, 2, 3)]


def sound(name: str, language: str, kind: str) -> dict:
    """Returns an output with audio only, in the group `speech`."""
    aac = {"Bitrate": 64_000, "CodingMode": "CODING_MODE_2_0", "SampleRate": 48_000}
    return {
        "NameModifier": name,
        "ContainerSettings": {"Container": "M3U8"},
        "OutputSettings": {"HlsSettings": {"AudioGroupId": "speech", "AudioTrackType": kind}},
        "AudioDescriptions": [
            {"LanguageCode": language, "StreamName": name.strip("_"), "CodecSettings": {"Codec": "AAC", "AacSettings": aac}}
        ],
    }


def test_variants_name_their_audio_group(masters: Server, clips: Clips, tmp_path: Path) -> None:
    silent = rung("_360", 640, 360, {"AudioRenditionSets": "speech"})
    del silent["AudioDescriptions"]
    hevc = rung("_hevc", 320, 180, {"AudioRenditionSets": "speech"})
    del hevc["AudioDescriptions"]
    hevc["VideoDescription"]["CodecSettings"] = {
        "Codec": "H_265",
        "H265Settings": {"RateControlMode": "QVBR", "MaxBitrate": 600_000, "QualityTuningLevel": "SINGLE_PASS"},
    }
    outputs = [
        silent,
        hevc,
        sound("_english", "ENG", "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"),
        sound("_spanish", "SPA", "ALTERNATE_AUDIO_NOT_AUTO_SELECT"),
    ]
    submit(masters, clips.file(FILM), "sounds", {}, outputs)
    folder = download(masters, "sounds", tmp_path)
    lines = (folder / "film.m3u8").read_text().splitlines()
    media = [line for line in lines if line.startswith("#EXT-X-MEDIA:")]
    assert len(media) == 2 and all('TYPE=AUDIO,GROUP-ID="speech"' in line for line in media)
    assert 'LANGUAGE="eng",NAME="english",DEFAULT=YES,AUTOSELECT=YES' in media[0]
    assert 'LANGUAGE="spa",NAME="spanish",DEFAULT=NO,AUTOSELECT=NO' in media[1]
    assert 'URI="film_english.m3u8"' in media[0]
    variants = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
    assert len(variants) == 2 and all('AUDIO="speech"' in line for line in variants)
    assert 'CODECS="avc1.4d401e,mp4a.40.2"' in variants[0] and 'CODECS="hvc1.1.6.L' in variants[1]
    listed = segments(folder / "film_english.m3u8")
    # The audio segments include the encoder delay and padding: up to two packets of 1024 samples.
    assert len(listed) == 3 and abs(sum(length for length, _ in listed) - Fraction(300 * 1001, 30000)) < Fraction(1, 20)
    starts = {name: _first_time(folder / f"film{name}_00001.ts") for name in ("_360", "_hevc", "_english", "_spanish")}
    # Video streams start together. Audio starts a packet earlier, which is the encoder delay.
    assert starts["_360"] == starts["_hevc"] and starts["_english"] == starts["_spanish"]
    assert abs(starts["_360"] - starts["_english"] - Fraction(1024, 48_000)) < Fraction(1, 10_000), starts
    for name in ("film.m3u8", "film_english.m3u8", "film_spanish.m3u8", "film_hevc.m3u8"):
        assert decode_complaints(folder / name) == "", name


def test_audio_only_output_can_be_a_variant(masters: Server, clips: Clips, tmp_path: Path) -> None:
    alone = sound("_radio", "ENG", "AUDIO_ONLY_VARIANT_STREAM")
    submit(masters, clips.file(FILM), "radio", {}, [rung("_360", 640, 360), alone])
    folder = download(masters, "radio", tmp_path)
    lines = (folder / "film.m3u8").read_text().splitlines()
    variants = [line for line in lines if line.startswith("#EXT-X-STREAM-INF:")]
    assert len(variants) == 2 and "RESOLUTION" not in variants[1] and 'CODECS="mp4a.40.2"' in variants[1]
    assert not any(line.startswith("#EXT-X-MEDIA:") for line in lines)
    assert decode_complaints(folder / "film_radio.m3u8") == ""


@pytest.mark.parametrize("kind", ["muxed", "groups", "single-file"])
def test_hls_js_plays_to_the_end(masters: Server, clips: Clips, tmp_path: Path, kind: str) -> None:
    browser()
    rungs = [rung("_360", 640, 360), rung("_180", 320, 180)]
    group = {"SegmentControl": "SINGLE_FILE"} if kind == "single-file" else {}
    if kind == "groups":
        for one in rungs:
            del one["AudioDescriptions"]
            one["OutputSettings"]["HlsSettings"] = {"AudioRenditionSets": "speech"}
        rungs += [
            sound("_english", "ENG", "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"),
            sound("_spanish", "SPA", "ALTERNATE_AUDIO_AUTO_SELECT"),
        ]
    submit(masters, clips.file(FILM), f"browser-{kind}", group, rungs)
    folder = download(masters, f"browser-{kind}", tmp_path)
    seen = play(folder, "film.m3u8", tmp_path / "profile")
    # The player also reports what it repairs by itself: the start, where B-frames come before the first frame; what a switch cuts
    # short; and waiting on a busy machine. A hole anywhere else is our fault.
    broken = [error for error in seen["errors"] if "fatal=false" not in error]
    holes = [error for error in seen["errors"] if "SeekOverHole" in error and "seeking from 0 " not in error]
    assert seen["ended"] and not broken and not holes, seen
    assert set(seen["levels"]) == {0, 1} and abs(seen["duration"] - 10.01) < 0.1, seen
    assert seen["sounds"] == (["english", "spanish"] if kind == "groups" else []), seen
    assert seen["frames"] > 0 and seen["width"] in (320, 640)


def _first_time(file: Path) -> Fraction:
    """Returns the earliest presentation time in a segment."""
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "default=nk=1:nw=1", file]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return min(Fraction(line) for line in out.stdout.split() if line != "N/A")


def _first_range(playlist: Path) -> int:
    line = next(line for line in playlist.read_text().splitlines() if line.startswith("#EXT-X-BYTERANGE:"))
    length, offset = map(int, line.removeprefix("#EXT-X-BYTERANGE:").split("@"))
    assert offset == 0
    return length
