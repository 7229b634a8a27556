"""Is a chunk whose encode hangs encoded a second time, and is only the first result used?"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import FINAL, JOB_SECONDS, Server, eventually
from outputs import ROLE, decoded_frames, settings, streams, upload
from test_chunks import RATE, SECONDS, buckets, film, rung

#: Only the encode of this chunk is disturbed; everything else goes to ffmpeg unchanged.
STRAGGLER = "chunk-0001"
#: With two cores, one encoder is idle while the other hangs. In the sandbox the program could not record its starts.
CONFIG = "[engine]\ncores = 2\nsandbox = false\n"

STARTS = """#!/bin/sh
case "$*" in
    *{straggler}.partial/*|*{straggler}.*.partial/*) ;;
    *) exec {ffmpeg} "$@" ;;
esac
if mkdir {folder}/first 2>/dev/null; then
    start=first
else
    start=second
    mkdir {folder}/second || exec touch {folder}/third
fi
echo $$ > {folder}/$start.pid
hang() {{
    sleep 1000 &
    echo $! > {folder}/$start.child
    wait
}}
{disturbance}
exec {ffmpeg} "$@"
"""

HANGS_FIRST = "[ $start = first ] && hang"
HANGS_ALWAYS = "hang"
#: The second start fails while the first one waits; then the first one continues.
SECOND_FAILS = f"""
[ $start = second ] && exit 1
while kill -0 "$(cat {{folder}}/second.pid 2>/dev/null)" 2>/dev/null || [ ! -e {{folder}}/second.pid ]; do sleep 0.1; done
sleep 1
"""
BOTH_FAIL = SECOND_FAILS.replace("sleep 1\n", "sleep 1; exit 1\n")


class Starts:
    """A program that takes ffmpeg's place and records its starts."""

    def __init__(self, folder: Path, disturbance: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.program = folder / "ffmpeg"
        disturbance = disturbance.replace("{folder}", str(folder))
        text = STARTS.format(straggler=STRAGGLER, ffmpeg=shutil.which("ffmpeg"), folder=folder, disturbance=disturbance)
        self.program.write_text(text)
        self.program.chmod(0o755)

    def names(self) -> set[str]:
        """Returns the names of the starts so far."""
        return {name for name in ("first", "second", "third") if (self.folder / name).exists()}

    def living(self) -> list[int]:
        """Returns the processes of these starts, and their children, that still run."""
        noted = [int(file.read_text()) for file in self.folder.iterdir() if file.suffix in (".pid", ".child") and file.read_text()]
        return [pid for pid in noted if is_alive(pid)]

    def end(self) -> None:
        """Kills these processes, so that a failed test leaves none behind."""
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Disturbed:
    """A server whose ffmpeg is disturbed."""

    def __init__(self, folder: Path, disturbance: str) -> None:
        self.starts = Starts(folder / "starts", disturbance)
        environment = {"ABANICO_FFMPEG": str(self.starts.program), "RUST_LOG": "info,abanico_engine=debug,abanico_tasks=debug"}
        self.server = Server(folder / "server", config=CONFIG, environment=environment).start()

    def submit(self, source: Path) -> str:
        """Starts a job with one rung and returns its id."""
        if "masters" not in buckets(self.server):
            self.server.s3.create_bucket(Bucket="masters")
        selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
        inputs = [{"FileInput": upload(self.server, source, "film.mp4"), "AudioSelectors": selectors}]
        job = settings(inputs, [rung("a", 320, 200_000)], "s3://renditions/film")
        return self.server.mediaconvert.create_job(Role=ROLE, Settings=job)["Job"]["Id"]

    def watch(self, job: str) -> tuple[str, list[int]]:
        """Waits until a job ends. Returns its status and every percentage seen on the way."""
        seen: list[int] = []

        def at_its_end() -> str | None:
            made = self.server.mediaconvert.get_job(Id=job)["Job"]
            seen.append(made.get("JobPercentComplete", 0))
            return made["Status"] if made["Status"] in FINAL else None

        return eventually(at_its_end, JOB_SECONDS, "the job's end"), seen

    def log_of(self, word: str) -> list[str]:
        """Returns the log lines about the straggler that contain a word."""
        return [line for line in self.server.log().splitlines() if word in line and STRAGGLER in line]

    def end(self) -> None:
        """Stops the server and kills what the starts left behind."""
        self.server.end()
        self.starts.end()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of at least three chunks."""
    return film(tmp_path_factory.mktemp("stragglers") / "film.mp4")


@pytest.fixture
def disturbed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disturbed]:
    """A server with the disturbance that the test names."""
    made = Disturbed(tmp_path, request.param)
    try:
        yield made
    finally:
        made.end()


def left_half_done(server: Server) -> list[Path]:
    """Returns the straggler's unfinished folders."""
    return list(server.data.rglob(f"{STRAGGLER}*.partial"))


def frames_of(server: Server, folder: Path) -> list[str]:
    """Returns the checksums of all frames of the job's output."""
    assert server.keys() == ["film_a.mp4"]
    file = server.download("film_a.mp4", folder / "film_a.mp4")
    picture = next(stream for stream in streams(file) if stream["codec_type"] == "video")
    assert int(picture["nb_read_packets"]) == SECONDS * RATE
    return decoded_frames(file)


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The checksums of all frames of a job that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    calm = Disturbed(folder, ":")
    try:
        assert calm.server.wait_status(calm.submit(source))["Status"] == "COMPLETE"
        return frames_of(calm.server, folder)
    finally:
        calm.end()


@pytest.mark.parametrize("disturbed", [HANGS_FIRST], indirect=True)
def test_hanging_chunk_is_encoded_a_second_time(disturbed: Disturbed, source: Path, undisturbed: list[str], tmp_path: Path) -> None:
    status, percents = disturbed.watch(disturbed.submit(source))
    assert status == "COMPLETE" and percents == sorted(percents)
    assert disturbed.starts.names() == {"first", "second"}
    assert disturbed.starts.living() == [], "the hanging process and its children must be gone"
    assert frames_of(disturbed.server, tmp_path) == undisturbed
    assert len(disturbed.log_of("started a second time")) == 1
    [won] = disturbed.log_of("won: the other is dropped")
    assert 'attempt="second"' in won, won
    assert left_half_done(disturbed.server) == []


@pytest.mark.parametrize("disturbed", [SECOND_FAILS], indirect=True)
def test_first_start_wins_when_the_second_fails(disturbed: Disturbed, source: Path, undisturbed: list[str], tmp_path: Path) -> None:
    status, percents = disturbed.watch(disturbed.submit(source))
    assert status == "COMPLETE" and percents == sorted(percents)
    assert disturbed.starts.names() == {"first", "second"}
    assert frames_of(disturbed.server, tmp_path) == undisturbed
    [won] = disturbed.log_of("won: the other is dropped")
    assert 'attempt="first"' in won, won
    assert len(disturbed.log_of("failed: the other continues")) == 1


@pytest.mark.parametrize("disturbed", [BOTH_FAIL], indirect=True)
def test_job_fails_when_both_starts_fail(disturbed: Disturbed, source: Path) -> None:
    done = disturbed.server.wait_status(disturbed.submit(source))
    assert done["Status"] == "ERROR" and "encoding the video" in done["ErrorMessage"], done
    assert disturbed.starts.names() == {"first", "second"}
    assert disturbed.server.keys() == [] and disturbed.starts.living() == []


@pytest.mark.parametrize("disturbed", [HANGS_ALWAYS], indirect=True)
def test_cancelling_the_job_ends_both_starts(disturbed: Disturbed, source: Path) -> None:
    job = disturbed.submit(source)
    eventually(lambda: (disturbed.starts.folder / "second.child").exists(), 120, "a second start")
    assert len(disturbed.starts.living()) == 4
    percent = disturbed.server.mediaconvert.get_job(Id=job)["Job"]["JobPercentComplete"]
    assert 0 < percent < 100, percent
    disturbed.server.mediaconvert.cancel_job(Id=job)
    assert disturbed.server.wait_status(job)["Status"] == "CANCELED"
    eventually(lambda: disturbed.starts.living() == [], 20, "both starts end")
    assert disturbed.starts.names() == {"first", "second"} and disturbed.server.keys() == []


@pytest.mark.parametrize("disturbed", [HANGS_ALWAYS], indirect=True)
def test_job_with_two_starts_survives_a_crash(disturbed: Disturbed, source: Path, undisturbed: list[str], tmp_path: Path) -> None:
    job = disturbed.submit(source)
    eventually(lambda: (disturbed.starts.folder / "second.child").exists(), 120, "a second start")
    assert len(left_half_done(disturbed.server)) == 2
    disturbed.server.kill()
    disturbed.starts.end()
    # From now on, every start goes through to ffmpeg.
    disturbed.starts.program.write_text(f'#!/bin/sh\nexec {shutil.which("ffmpeg")} "$@"\n')
    disturbed.server.start()
    assert disturbed.server.wait_status(job)["Status"] == "COMPLETE"
    assert frames_of(disturbed.server, tmp_path) == undisturbed
