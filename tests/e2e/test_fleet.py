"""Do several workers make the same files as one machine, and leave nothing behind? `test_scatter.py` does every kind of task in a
process of its own; here are three jobs that have most of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clips import Clip, Clips
from fleet import Fleet, fleet
from harness import Server
from outputs import AAC, fail, h264, output, run, settings, upload
from test_scatter import hls, images, published, source, three_rungs


@pytest.fixture(scope="module")
def one_processor() -> Iterator[None]:
    """Lets everything run on one processor, because x264 makes other bytes from run to run in several threads."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.fixture(scope="module")
def alone(one_processor: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that does its jobs itself."""
    server = Server(tmp_path_factory.mktemp("alone"), config="[engine]\ncores = 2\n")
    try:
        server.start()
        server.s3.create_bucket(Bucket="masters")
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def several(one_processor: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A server with two workers, each with two slots."""
    with fleet(tmp_path_factory.mktemp("several")) as own:
        own.server.s3.create_bucket(Bucket="masters")
        for name in ("one", "two"):
            own.worker(name, "--slots", "2", "--cores", "2")
        yield own


@pytest.mark.parametrize("make", [three_rungs, hls, images], ids=lambda make: make.__name__)
def test_fleet_publishes_what_one_machine_publishes(
    make: Callable[[Server, Clips, Path], dict], alone: Server, several: Fleet, clips: Clips, tmp_path: Path
) -> None:
    for server in (alone, several.server):
        folder = tmp_path / server.folder.name
        folder.mkdir()
        done = run(server, make(server, clips, folder))
    wanted, found = [published(server, f"scatter-{make.__name__}") for server in (alone, several.server)]
    assert sorted(found) == sorted(wanted)
    assert [url for url in wanted if found[url] != wanted[url]] == []
    workers = several.done_by(done["Id"])
    assert len(workers) > 2
    if make is three_rungs:
        assert len([task for task in workers if task.startswith("chunk-")]) >= 3, "the film was not cut"
        assert set(workers.values()) == {"one", "two"}, workers
    several.leaves_nothing()


def test_job_that_cannot_be_done_fails_as_on_one_machine(alone: Server, several: Fleet, clips: Clips) -> None:
    told = []
    for server in (alone, several.server):
        whole = clips.file(Clip(width=320, height=180, rate="25", frames=100)).read_bytes()
        server.s3.put_object(Bucket="masters", Key="cut.mp4", Body=whole[: len(whole) // 2])
        job = settings([source("s3://masters/cut.mp4")], [output("MP4", h264(), [AAC])], "s3://renditions/cut/film")
        failed = fail(server, job)
        told.append((failed["ErrorCode"], failed["ErrorMessage"]))
        assert server.keys(prefix="cut/") == []
    assert told[0] == told[1]
    several.leaves_nothing()


def test_replaced_input_is_not_mistaken_for_the_former(several: Fleet, clips: Clips) -> None:
    server = several.server
    for number, frames in enumerate((50, 75)):
        upload(server, clips.file(Clip(width=320, height=180, rate="25", frames=frames)), "replaced.mp4")
        job = settings([source("s3://masters/replaced.mp4")], [output("MP4", h264(), NameModifier=f"_{number}")], "s3://renditions/replaced/film")
        done = run(server, job)
        detail = done["OutputGroupDetails"][0]["OutputDetails"][0]
        assert detail["DurationInMs"] == frames * 40
    several.leaves_nothing()
