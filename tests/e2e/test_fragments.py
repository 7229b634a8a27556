"""Are CMAF and DASH outputs what players need? Checks the files, manifests and boxes of finished jobs."""

from __future__ import annotations

import gzip
import re
import subprocess
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import botocore.exceptions
import pytest
from browser import browser, play
from clips import Clip, Clips
from harness import Server
from media_facts import decode_complaints
from outputs import AAC, ROLE, h264, refuse, run, upload
from test_hls import download, segments

FILM = Clip(width=640, height=360, rate="30000/1001", frames=300)
LENGTH = Fraction(300 * 1001, 30000)
KINDS = {
    "CMFC": ("CMAF_GROUP_SETTINGS", "CmafGroupSettings"),
    "MPD": ("DASH_ISO_GROUP_SETTINGS", "DashIsoGroupSettings"),
}
XML = "{urn:mpeg:dash:schema:mpd:2011}"


def picture(container: str, name: str, width: int, height: int, **codec: object) -> dict:
    """Returns an output with video only."""
    settings = codec or h264(GopSize=1, GopSizeUnits="SECONDS", QualityTuningLevel="SINGLE_PASS_HQ")
    video = {"Width": width, "Height": height, "CodecSettings": settings}
    return {"NameModifier": name, "ContainerSettings": {"Container": container}, "VideoDescription": video}


def sound(container: str, name: str, language: str, **cmfc: str) -> dict:
    """Returns an output with audio only."""
    settings: dict = {"Container": container} | ({"CmfcSettings": cmfc} if cmfc else {})
    return {
        "NameModifier": name,
        "ContainerSettings": settings,
        "AudioDescriptions": [{"CodecSettings": AAC, "LanguageCode": language}],
    }


def rungs(container: str) -> list[dict]:
    """Returns two video outputs and one audio output."""
    return [picture(container, "_360", 640, 360), picture(container, "_180", 320, 180), sound(container, "_en", "ENG")]


def settings(url: str, container: str, prefix: str, group: dict, outputs: list[dict]) -> dict:
    """Returns the settings of a job with one output group."""
    kind, member = KINDS[container]
    own = {"Destination": f"s3://renditions/{prefix}/film", "SegmentLength": 4, "FragmentLength": 2} | group
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    return {
        "Inputs": [{"FileInput": url, "AudioSelectors": selectors}],
        "OutputGroups": [{"OutputGroupSettings": {"Type": kind, member: own}, "Outputs": outputs}],
    }


def made(
    server: Server, clips: Clips, container: str, prefix: str, group: dict, outputs: list[dict] | None = None
) -> dict:
    """Runs a job with one output group on the film."""
    url = upload(server, clips.file(FILM), f"fragments/{prefix}.mp4")
    return run(server, settings(url, container, prefix, group, outputs or rungs(container)))


def boxes(data: bytes) -> list[str]:
    """Returns the types of the boxes in order; they must fill the file."""
    kinds, at = [], 0
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].decode()
        kinds.append(kind)
        assert size >= 8, (kind, size)
        at += size
    assert at == len(data)
    return kinds


def whole(folder: Path, stem: str, extension: str) -> Path:
    """Joins the initialisation section and the segments into one file."""
    file = folder / f"whole{stem}.mp4"
    parts = [folder / f"film{stem}init.{extension}", *sorted(folder.glob(f"film{stem}_0*.{extension}"))]
    file.write_bytes(b"".join(part.read_bytes() for part in parts))
    return file


def packets(file: Path) -> list[tuple[Fraction, bool]]:
    """Returns each packet's time and whether it is a key frame, for the first stream, in presentation order."""
    command = ["ffprobe", "-v", "error", "-select_streams", "0", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"]
    out = subprocess.run([*command, str(file)], check=True, capture_output=True, text=True, timeout=60).stdout
    lines = [line.split(",") for line in out.split()]
    return sorted((Fraction(line[0]), "K" in line[1]) for line in lines)


def near(time: Fraction, due: Fraction) -> bool:
    """Whether two times are equal to the microsecond, the precision that ffprobe prints."""
    return abs(time - due) <= Fraction(1, 1_000_000)


@pytest.fixture(scope="module")
def masters(server: Server) -> Server:
    """The server, with a bucket that has no trigger."""
    server.s3.create_bucket(Bucket="masters")
    return server


def test_cmaf_streams_align_in_both_manifests(masters: Server, clips: Clips, tmp_path: Path) -> None:
    job = made(masters, clips, "CMFC", "cmaf", {"SegmentControl": "SEGMENTED_FILES"})
    detail = job["OutputGroupDetails"][0]
    assert [output["DurationInMs"] for output in detail["OutputDetails"]][:2] == [10010, 10010]
    folder = download(masters, "cmaf", tmp_path)
    numbered = [f"{stem}_00000000{number}" for stem in ("_180", "_360") for number in (1, 2, 3)]
    names = [f"film{name}.cmfv" for name in [*numbered, "_180init", "_360init"]]
    names += [f"film_en_00000000{number}.cmfa" for number in (1, 2, 3)] + ["film_eninit.cmfa"]
    names += ["film.mpd", "film.m3u8", "film_180.m3u8", "film_360.m3u8", "film_en.m3u8"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)
    starts = {}
    for stem in ("_360", "_180"):
        shown = packets(whole(folder, stem, "cmfv"))
        due = [Fraction(index * 1001, 30000) for index in range(300)]
        assert len(shown) == 300 and all(near(time, at) for (time, _), at in zip(shown, due, strict=True))
        listed = segments(folder / f"film{stem}.m3u8")
        assert abs(sum(length for length, _ in listed) - LENGTH) < Fraction(1, 10_000)
        starts[stem] = [length for length, _ in listed]
        assert decode_complaints(folder / f"whole{stem}.mp4") == ""
    assert starts["_360"] == starts["_180"] and len(starts["_360"]) == 3
    # An edit list hides the encoder delay, so audio begins with the video.
    assert near(packets(whole(folder, "_en", "cmfa"))[0][0], Fraction(-1024, 48_000))
    assert boxes((folder / "film_360_000000001.cmfv").read_bytes()) == ["styp", "moof", "mdat", "moof", "mdat"]
    assert boxes((folder / "film_360init.cmfv").read_bytes()) == ["ftyp", "moov"]
    text = (folder / "film.m3u8").read_text()
    assert text.count('AUDIO="program_audio_2"') == 2 and 'TYPE=AUDIO,GROUP-ID="program_audio_2",LANGUAGE="eng"' in text
    assert '#EXT-X-MAP:URI="film_360init.cmfv"\n' in (folder / "film_360.m3u8").read_text()
    assert decode_complaints(folder / "film.m3u8") == ""


def test_segment_and_fragment_lengths_follow_the_job(masters: Server, clips: Clips, tmp_path: Path) -> None:
    group = {
        "SegmentControl": "SEGMENTED_FILES",
        "SegmentLength": 3,
        "FragmentLength": 3,
        "MinFinalSegmentLength": 2,
        "WriteSegmentTimelineInRepresentation": "ENABLED",
        "MinBufferTime": 7,
        "BaseUrl": "https://cdn.example/a/",
        "MpdManifestBandwidthType": "MAX",
    }
    made(masters, clips, "MPD", "lengths", group)
    folder = download(masters, "lengths", tmp_path)
    manifest = ElementTree.fromstring((folder / "film.mpd").read_text())
    assert manifest.get("minBufferTime") == "PT7.000000S" and manifest.get("mediaPresentationDuration") == "PT10.010000S"
    assert manifest.findtext(f"{XML}BaseURL") == "https://cdn.example/a/"
    pictures, sounds = manifest.iter(f"{XML}AdaptationSet")
    told = [stream.get("bandwidth") for stream in pictures.iter(f"{XML}Representation")]
    assert told == ["1000000", "1000000"]
    template = next(pictures.iter(f"{XML}SegmentTemplate"))
    runs = [(int(run.get("d", "0")), int(run.get("r", "0"))) for run in template.iter(f"{XML}S")]
    # Groups of 30 frames: 3 s are 90 frames of 1001/30000 s. The last 30 frames are added to the previous segment.
    assert (template.get("timescale"), runs) == ("30000", [(90 * 1001, 1), (120 * 1001, 0)])
    assert boxes((folder / "film_360_000000001.mp4").read_bytes()) == ["styp", "moof", "mdat"]
    own = next(sounds.iter(f"{XML}SegmentTemplate"))
    ticks = [int(run.get("d", "0")) for run in own.iter(f"{XML}S") for _ in range(int(run.get("r", "0")) + 1)]
    assert abs(Fraction(sum(ticks), 48_000) - LENGTH) < Fraction(1, 20)
    assert sounds.get("lang") == "eng" and next(sounds.iter(f"{XML}Representation")).get("codecs") == "mp4a.40.2"


def test_on_demand_file_is_addressed_by_byte_ranges(masters: Server, clips: Clips, tmp_path: Path) -> None:
    group = {"MpdProfile": "ON_DEMAND_PROFILE", "SegmentControl": "SINGLE_FILE"}
    made(masters, clips, "MPD", "demand", group)
    folder = download(masters, "demand", tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == ["film.mpd", "film_180.mp4", "film_360.mp4", "film_en.mp4"]
    text = (folder / "film.mpd").read_text()
    assert "isoff-on-demand:2011" in text
    for name, first, last, end in re.findall(
        r"<BaseURL>(.*?)</BaseURL>\s*<SegmentBase indexRange=\"(\d+)-(\d+)\".*?<Initialization range=\"0-(\d+)\"", text, re.S
    ):
        data = (folder / name).read_bytes()
        assert boxes(data[: int(end) + 1]) == ["ftyp", "moov"] and boxes(data[int(first) : int(last) + 1]) == ["sidx"]
        index = data[int(first) : int(last) + 1]
        sizes = [int.from_bytes(index[at : at + 4], "big") for at in range(40, len(index), 12)]
        assert len(sizes) == 3 and int(last) + 1 + sum(sizes) == len(data)
        assert decode_complaints(folder / name) == ""
    assert text.count("<SegmentBase") == 3


def test_key_frame_playlist_ranges_hold_one_frame(masters: Server, clips: Clips, tmp_path: Path) -> None:
    output = picture("CMFC", "_v", 640, 360)
    output["ContainerSettings"]["CmfcSettings"] = {"IFrameOnlyManifest": "INCLUDE"}
    made(masters, clips, "CMFC", "keys", {"WriteDashManifest": "DISABLED"}, [output])
    folder = download(masters, "keys", tmp_path)
    assert not (folder / "film.mpd").exists()
    text = (folder / "film_v_I-Frame.m3u8").read_text()
    media = (folder / "film_v.cmfv").read_bytes()
    start = re.search(r'#EXT-X-MAP:URI="film_v.cmfv",BYTERANGE="(\d+)@0"', text)
    assert start is not None and boxes(media[: int(start[1])]) == ["ftyp", "moov"]
    ranges = re.findall(r"#EXT-X-BYTERANGE:(\d+)@(\d+)", text)
    assert len(ranges) == 3
    for number, (length, offset) in enumerate(ranges):
        one = folder / f"key-{number}.mp4"
        one.write_bytes(media[: int(start[1])] + media[int(offset) : int(offset) + int(length)])
        command = ["ffmpeg", "-v", "quiet", "-i", str(one), "-frames:v", "1", "-f", "framemd5", "-"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert len([line for line in done.stdout.splitlines() if not line.startswith("#")]) == 1, number
    assert "#EXT-X-I-FRAME-STREAM-INF:" in (folder / "film.m3u8").read_text()


def test_playlists_are_compressed_on_request(masters: Server, clips: Clips) -> None:
    group = {"ManifestCompression": "GZIP", "WriteDashManifest": "DISABLED"}
    made(masters, clips, "CMFC", "packed", group, [picture("CMFC", "_v", 320, 180)])
    for key in ("packed/film.m3u8", "packed/film_v.m3u8"):
        got = masters.s3.get_object(Bucket="renditions", Key=key)
        assert (got["ContentEncoding"], got["ContentType"]) == ("gzip", "application/vnd.apple.mpegurl")
        assert gzip.decompress(got["Body"].read()).startswith(b"#EXTM3U\n")


@pytest.mark.parametrize(
    ("container", "group", "change", "pointer", "words"),
    [
        ("CMFC", {}, {"AudioDescriptions": [{"CodecSettings": AAC}]}, "/outputGroups/0/outputs/0", "a separate output"),
        ("MPD", {}, {"ContainerSettings": {"Container": "MP4"}}, "/outputGroups/0/outputs/0/containerSettings/container", "Must be MPD"),
        ("MPD", {"MpdProfile": "ON_DEMAND_PROFILE", "SegmentControl": "SEGMENTED_FILES"}, {},
         "/outputGroups/0/outputGroupSettings/dashIsoGroupSettings/mpdProfile", "SINGLE_FILE"),
    ],
)  # fmt: skip
def test_conflicting_settings_are_reported(
    masters: Server, clips: Clips, container: str, group: dict, change: dict, pointer: str, words: str
) -> None:
    url = upload(masters, clips.file(FILM), "fragments/refused.mp4")
    job = settings(url, container, "refused", group, [picture(container, "_v", 320, 180) | change])
    told = refuse(masters, job)
    assert f"{pointer}: " in told and words in told, told


def test_unsupported_manifest_style_is_refused(masters: Server) -> None:
    job = settings("s3://masters/x.mp4", "MPD", "x", {}, [picture("MPD", "_v", 320, 180)])
    job["OutputGroups"][0]["OutputGroupSettings"]["DashIsoGroupSettings"]["DashManifestStyle"] = "FULL"
    with pytest.raises(botocore.exceptions.ClientError, match="dashManifestStyle FULL is not supported"):
        masters.mediaconvert.create_job(Role=ROLE, Settings=job)


@pytest.mark.parametrize(
    ("container", "group"),
    [
        ("MPD", {"SegmentControl": "SEGMENTED_FILES"}),
        ("MPD", {"SegmentControl": "SEGMENTED_FILES", "WriteSegmentTimelineInRepresentation": "ENABLED"}),
        ("MPD", {"MpdProfile": "ON_DEMAND_PROFILE"}),
        ("CMFC", {"SegmentControl": "SEGMENTED_FILES", "VideoCompositionOffsets": "SIGNED"}),
        ("CMFC", {}),
    ],
    ids=["nominal", "timeline", "on-demand", "cmaf-signed", "cmaf-single"],
)
def test_dash_and_hls_players_reach_the_end(
    masters: Server, clips: Clips, tmp_path: Path, container: str, group: dict, request: pytest.FixtureRequest
) -> None:
    browser()
    prefix = f"played-{request.node.callspec.id}"
    made(masters, clips, container, prefix, group)
    folder = download(masters, prefix, tmp_path)
    seen = play(folder, "film.mpd", tmp_path / "dash-profile")
    assert seen["ended"] and not seen["errors"], seen
    assert sorted(seen["rungs"]) == [180, 360] and seen["sounds"] == ["en"] and len(seen["heights"]) == 1, seen
    assert abs(seen["duration"] - 10.01) < 0.1 and seen["frames"] > 0, seen
    if container == "CMFC":
        seen = play(folder, "film.m3u8", tmp_path / "hls-profile")
        broken = [error for error in seen["errors"] if "fatal=false" not in error or "SeekOverHole" in error]
        assert seen["ended"] and not broken, seen
        assert set(seen["levels"]) == {0, 1} and abs(seen["duration"] - 10.01) < 0.1, seen


def test_dash_takes_vp9_and_av1(masters: Server, clips: Clips, tmp_path: Path) -> None:
    browser()
    vp9 = {"Codec": "VP9", "Vp9Settings": {"RateControlMode": "VBR", "Bitrate": 400_000}}
    av1 = {"Codec": "AV1", "Av1Settings": {"RateControlMode": "QVBR", "MaxBitrate": 600_000, "GopSize": 60}}
    outputs = [picture("MPD", "_v", 320, 180, **vp9), picture("MPD", "_a", 320, 180, **av1), sound("MPD", "_en", "ENG")]
    made(masters, clips, "MPD", "open", {"SegmentControl": "SEGMENTED_FILES"}, outputs)
    folder = download(masters, "open", tmp_path)
    text = (folder / "film.mpd").read_text()
    assert re.search(r'codecs="vp09\.00\.\d\d\.08"', text) and re.search(r'codecs="av01\.0\.\d\dM\.08"', text), text
    for stem in ("_v", "_a"):
        assert len(packets(whole(folder, stem, "mp4"))) == 300
        assert decode_complaints(folder / f"whole{stem}.mp4") == ""
    seen = play(folder, "film.mpd", tmp_path / "profile")
    assert seen["ended"] and not seen["errors"], seen
