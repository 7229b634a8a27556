"""Can each task be done anywhere? Does every task of several plans in a process of its own, in an empty folder, in a random
allowed order, with nothing but its assignment and an artifact store; compares what is made with what the server publishes."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clips import Clip, Clips
from harness import Server, binary
from outputs import AAC, h264, output, run, settings, upload
from test_captions import SRT, captioned, description, sidecar
from test_chunks import film, rung
from test_fragments import KINDS, picture, sound
from test_hls import rung as hls_rung

FILM = Clip(width=640, height=360, rate="30000/1001", frames=300)
SECONDS = 240
SEED = int(os.environ.get("ABANICO_SEED", "23"))


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with buckets that have no trigger. It and the tasks encode on one processor: x264 in several threads with a
    buffer model makes other bytes from run to run, because each thread looks at how far the others are."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    server = Server(tmp_path_factory.mktemp("server"), config="[engine]\ncores = 2\n")
    try:
        server.start()
        for bucket in ("masters", "artifacts"):
            server.s3.create_bucket(Bucket=bucket)
        yield server
    finally:
        server.end()
        os.sched_setaffinity(0, allowed)


def wire(value: object) -> object:
    """Returns settings with the members' names of the wire format. Names that users chose have spaces here."""
    if isinstance(value, dict):
        return {key if " " in key else key[:1].lower() + key[1:]: wire(one) for key, one in value.items()}
    return [wire(one) for one in value] if isinstance(value, list) else value


def task(server: Server, prefix: str, *arguments: str, text: str = "") -> str:
    """Runs the hidden command and returns its output."""
    command = [str(binary()), "__task", "--artifacts", f"s3://artifacts/{prefix}/", *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **server.exports}
    )
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


def made_by(assigned: dict) -> set[str]:
    """Returns the names of the tasks whose files an assignment reads."""
    return {reading["artifact"]["made"] for reading in assigned["reads"] if "made" in reading["artifact"]}


def scattered(server: Server, job: dict, name: str, folder: Path) -> dict[str, bytes]:
    """Does every task of a job in a process of its own. Returns the files for the user by their URLs."""
    plan = folder / "job.json"
    plan.write_text(json.dumps(wire(job)))
    fetched = folder / "fetched"
    fetched.mkdir()
    assignments = json.loads(task(server, name, "plan", "--job", str(plan), "--folder", str(fetched), "--encoders", "2"))
    waiting, done = {one["task"]["id"]: one for one in assignments}, set()
    choose = random.Random(SEED)
    while waiting:
        ready = sorted(id for id, one in waiting.items() if made_by(one) <= done)
        assert ready, f"no task of {sorted(waiting)} can be done"
        own = choose.choice(ready)
        place = folder / "work" / own
        place.mkdir(parents=True)
        sources = str(folder / "sources")
        task(server, name, "run", "--folder", str(place), "--sources", sources, text=json.dumps(waiting.pop(own)))
        done.add(own)
    files = {}
    for one in assignments:
        taken = folder / "taken" / one["task"]["id"]
        taken.mkdir(parents=True)
        task(server, name, "take", one["makes"], str(taken))
        if (listed := taken / "packaged-files.json").exists():
            for file in json.loads(listed.read_text()):
                files[file["url"]] = (taken / file["name"]).read_bytes()
    return files


def published(server: Server, prefix: str) -> dict[str, bytes]:
    """Returns everything that the server has published below a prefix."""
    keys = server.keys(prefix=f"{prefix}/")
    return {f"s3://renditions/{key}": server.s3.get_object(Bucket="renditions", Key=key)["Body"].read() for key in keys}


def three_rungs(server: Server, clips: Clips, folder: Path) -> dict:
    """Three MP4 rungs in chunks, with first passes."""
    url = upload(server, film(folder / "film.mp4"), "scatter/long.mp4")
    sizes = [("a", 640), ("b", 448), ("c", 320)]
    rungs = [rung(name, width, QualityTuningLevel="MULTI_PASS_HQ") for name, width in sizes]
    return settings([source(url)], rungs, "s3://renditions/scatter-three_rungs/film")


def source(url: str, **members: object) -> dict:
    return {"FileInput": url, "AudioSelectors": {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}, **members}


def hls(server: Server, clips: Clips, folder: Path) -> dict:
    """HLS with an audio group and captions."""
    own = captioned(server, clips, SRT)
    speech = {
        "NameModifier": "_en",
        "ContainerSettings": {"Container": "M3U8"},
        "OutputSettings": {"HlsSettings": {"AudioGroupId": "sound", "AudioTrackType": "ALTERNATE_AUDIO_AUTO_SELECT_DEFAULT"}},
        "AudioDescriptions": [{"CodecSettings": AAC, "LanguageCode": "ENG"}],
    }
    pictures = [hls_rung(name, width, width * 9 // 16, {"AudioRenditionSets": "sound"}) for name, width in [("_h", 640), ("_l", 320)]]
    for one in pictures:
        del one["AudioDescriptions"]
    texts = {
        "NameModifier": "_es",
        "ContainerSettings": {"Container": "M3U8"},
        "CaptionDescriptions": [description("WEBVTT")],
    }
    group = {"Destination": "s3://renditions/scatter-hls/film", "SegmentLength": 4, "MinSegmentLength": 0}
    kind = {"Type": "HLS_GROUP_SETTINGS", "HlsGroupSettings": group}
    return {"Inputs": [own], "OutputGroups": [{"OutputGroupSettings": kind, "Outputs": [*pictures, speech, texts]}]}


def fragments(server: Server, clips: Clips, folder: Path) -> dict:
    """A CMAF group and a DASH group."""
    url = upload(server, clips.file(FILM), "scatter/fragments.mp4")
    groups = []
    for container, (kind, member) in KINDS.items():
        place = {"Destination": f"s3://renditions/scatter-fragments/{container}/film", "SegmentLength": 4, "FragmentLength": 2}
        outputs = [picture(container, "_360", 640, 360), picture(container, "_180", 320, 180), sound(container, "_en", "ENG")]
        groups.append({"OutputGroupSettings": {"Type": kind, member: place}, "Outputs": outputs})
    return {"Inputs": [source(url)], "OutputGroups": groups}


def images(server: Server, clips: Clips, folder: Path) -> dict:
    """Frame captures beside a file, and captions as a file of their own."""
    own = captioned(server, clips, SRT)
    capture = {"Codec": "FRAME_CAPTURE", "FrameCaptureSettings": {"FramerateNumerator": 1, "FramerateDenominator": 2, "MaxCaptures": 9, "Quality": 80}}
    outputs = [
        output("MP4", h264(), [AAC], NameModifier="_v"),
        output("RAW", capture, NameModifier="_shot"),
        sidecar("SRT", "_es"),
        output("MP4", h264(), NameModifier="_burnt", CaptionDescriptions=[description("BURN_IN")]),
    ]
    return settings([own], outputs, "s3://renditions/scatter-images/film")


def two_inputs(server: Server, clips: Clips, folder: Path) -> dict:
    """Clips of two inputs."""
    first = upload(server, clips.file(FILM), "scatter/one.mp4")
    second = upload(server, clips.file(Clip(width=320, height=240, rate="25", frames=250)), "scatter/two.mp4")
    cut = {"TimecodeSource": "ZEROBASED", "InputClippings": [{"StartTimecode": "00:00:02:00", "EndTimecode": "00:00:05:00"}]}
    outputs = [output("MP4", h264(), [AAC], NameModifier="_a"), output("MOV", h264(), [AAC], NameModifier="_b")]
    return settings([source(first, **cut), source(second, **cut)], outputs, "s3://renditions/scatter-two_inputs/film")


def levelled(server: Server, clips: Clips, folder: Path) -> dict:
    """A quality that is evened out by samples, in chunks."""
    url = upload(server, film(folder / "levelled.mp4"), "scatter/levelled.mp4")
    own = {"RateControlMode": "QVBR", "QvbrSettings": {"QvbrQualityLevel": 7}, "QualityTuningLevel": "SINGLE_PASS_HQ"}
    rungs = [rung(name, width, **own) for name, width in [("a", 640), ("b", 320)]]
    for one in rungs:
        del one["VideoDescription"]["CodecSettings"]["H264Settings"]["Bitrate"]
    return settings([source(url)], rungs, "s3://renditions/scatter-levelled/film")


@pytest.mark.parametrize("make", [three_rungs, hls, fragments, images, two_inputs, levelled], ids=lambda make: make.__name__)
def test_tasks_done_anywhere_make_the_same_files(
    make: Callable[[Server, Clips, Path], dict], masters: Server, clips: Clips, tmp_path: Path
) -> None:
    job = make(masters, clips, tmp_path)
    run(masters, job)
    wanted = published(masters, f"scatter-{make.__name__}")
    found = scattered(masters, job, make.__name__, tmp_path)
    assert sorted(found) == sorted(wanted)
    assert [url for url in wanted if found[url] != wanted[url]] == []
    if make in (three_rungs, levelled):
        chunks = list((tmp_path / "work").glob("chunk-*"))
        assert len(chunks) >= 3, "the film was not cut, so less is tested here"


def test_task_whose_artifact_is_there_is_not_done_again(masters: Server, clips: Clips, tmp_path: Path) -> None:
    url = upload(masters, clips.file(FILM), "scatter/once.mp4")
    job = settings([source(url)], [output("MP4", h264(), NameModifier="_a")], "s3://renditions/scatter-once/film")
    (tmp_path / "job.json").write_text(json.dumps(wire(job)))
    (tmp_path / "fetched").mkdir()
    planned = task(masters, "once", "plan", "--job", str(tmp_path / "job.json"), "--folder", str(tmp_path / "fetched"), "--encoders", "2")
    first = json.loads(planned)[0]
    outcomes = []
    for number in range(2):
        (tmp_path / f"work-{number}").mkdir()
        outcomes.append(json.loads(task(masters, "once", "run", "--folder", str(tmp_path / f"work-{number}"), text=json.dumps(first))))
    assert outcomes[0] == outcomes[1] and outcomes[0]["cpu_ms"] > 0
    assert list((tmp_path / "work-1").iterdir()) == [], "nothing was fetched or made"


def test_task_for_another_version_is_refused(masters: Server, clips: Clips, tmp_path: Path) -> None:
    url = upload(masters, clips.file(FILM), "scatter/version.mp4")
    job = settings([source(url)], [output("MP4", h264(), NameModifier="_a")], "s3://renditions/scatter-version/film")
    (tmp_path / "job.json").write_text(json.dumps(wire(job)))
    (tmp_path / "fetched").mkdir()
    planned = task(masters, "version", "plan", "--job", str(tmp_path / "job.json"), "--folder", str(tmp_path / "fetched"), "--encoders", "2")
    other = {**json.loads(planned)[0], "ffmpeg_version": "0.1"}
    (tmp_path / "work").mkdir()
    command = [str(binary()), "__task", "--artifacts", "s3://artifacts/version/", "run", "--folder", str(tmp_path / "work")]
    done = subprocess.run(
        command, input=json.dumps(other), capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **masters.exports}
    )
    assert done.returncode == 1 and "ffmpeg 0.1" in done.stderr and "same versions" in done.stderr, done.stderr


def test_hostile_assignments_are_refused(masters: Server, clips: Clips, tmp_path: Path) -> None:
    url = upload(masters, clips.file(FILM), "scatter/hostile.mp4")
    job = settings([source(url)], [output("MP4", h264(), NameModifier="_a")], "s3://renditions/scatter-hostile/film")
    (tmp_path / "job.json").write_text(json.dumps(wire(job)))
    (tmp_path / "fetched").mkdir()
    planned = task(masters, "hostile", "plan", "--job", str(tmp_path / "job.json"), "--folder", str(tmp_path / "fetched"), "--encoders", "2")
    honest = json.loads(planned)[0]
    reading = honest["reads"][0]
    changes = [
        ({"task": {**honest["task"], "id": "../../outside"}}, "no name of a task"),
        ({"reads": [{**reading, "artifact": {"made": "../../outside"}}]}, "no name of a task"),
        ({"reads": [{**reading, "artifact": {"image": 0}, "extension": "/../../outside"}]}, "no extension of an image"),
        ({"reads": [{**reading, "artifact": {"input": 4_000_000_000}}]}, "no job has more than"),
        ({"reads": [{**reading, "key": "../outside"}]}, "assignment"),
        ({"reads": [{**reading, "source": {**reading["source"], "url": "file:///etc/hostname"}}]}, "no source of an input"),
    ]
    for number, (change, reason) in enumerate(changes):
        place = tmp_path / "deep" / str(number)
        place.mkdir(parents=True)
        command = [str(binary()), "__task", "--artifacts", "s3://artifacts/hostile/", "run", "--folder", str(place)]
        done = subprocess.run(
            command, input=json.dumps({**honest, **change}), capture_output=True, text=True, timeout=SECONDS,
            env={**os.environ, **masters.exports},
        )  # fmt: skip
        assert done.returncode != 0 and reason in done.stderr, (reason, done.stderr)
    assert not list(tmp_path.glob("**/outside*"))
