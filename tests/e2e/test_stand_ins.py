"""Is a small synthetic file of each real kind transcoded correctly, and is a broken one refused? Needs no real files."""

from __future__ import annotations

import socket
import subprocess
from array import array
from pathlib import Path

import pytest
from orientation import UPRIGHT, turn_between
from shared_media import SPECIAL
from stand_ins import StandIn, StandIns
from stand_ins.broken_files import playlist
from stand_ins.table import ALL, BENCH, ODD, REFUSED
from transcoding import check_ladder, check_refusal, check_three_presets, preset_options, transcode


def each(rows: tuple[StandIn, ...]) -> pytest.MarkDecorator:
    """Parametrizes a test with one case per row."""
    return pytest.mark.parametrize("row", rows, ids=[row.name for row in rows])


@each(ODD)
def test_odd_stand_in_is_transcoded_correctly(row: StandIn, stand_ins: StandIns, tmp_path: Path) -> None:
    source, out = stand_ins.file(row), tmp_path / "out"
    for file in check_ladder(transcode(source, out), source, out, row.expected):
        if row.upright:
            assert turn_between(stand_ins.upright(row), file) == UPRIGHT, file.name


@each(REFUSED)
def test_broken_stand_in_is_refused_with_its_reason(row: StandIn, stand_ins: StandIns, tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_refusal(transcode(stand_ins.file(row), out), out, row.expected)


@each(BENCH)
def test_three_preset_job_gives_exact_renditions(row: StandIn, stand_ins: StandIns, tmp_path: Path) -> None:
    outcome = transcode(stand_ins.file(row), tmp_path / "out", *preset_options())
    check_three_presets(outcome, row.expected)


def test_every_real_file_has_a_stand_in_of_its_kind() -> None:
    assert {name for row in ALL.values() for name in row.stands_for} == set(SPECIAL)


def test_default_audio_track_is_kept(stand_ins: StandIns, tmp_path: Path) -> None:
    preset = "System-Generic_Sd_Mp4_Avc_Aac_4x3_640x480p_24Hz_1.5Mbps"
    outcome = transcode(stand_ins.file(ALL["many_tracks.mkv"]), tmp_path / "out", "--preset", preset)
    assert abs(_pitch(outcome.outputs[0]) - 600) < 20


def test_playlist_reaches_no_host(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
        file, out = tmp_path / "film.mp4", tmp_path / "out"
        playlist(file, f"{host}/film.ts", key=f"{host}/key")
        check_refusal(transcode(file, out), out, ALL["playlist_of_hosts.mp4"].expected)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        # Proves that the playlist works: a reader without restrictions does connect.
        listener.settimeout(10)
        reader = ["ffprobe", "-v", "quiet", "-protocol_whitelist", "file,http,tcp,crypto", str(file)]
        with subprocess.Popen(reader) as careless:
            listener.accept()[0].close()
            careless.kill()


def _pitch(file: Path) -> float:
    """Returns the pitch of a tone in hertz: half the number of its zero crossings per second."""
    command = ["ffmpeg", "-v", "error", "-i", str(file), "-ss", "0.4", "-t", "0.5", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"]
    sound = array("h", subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    crossings = sum((before < 0) != (after < 0) for before, after in zip(sound, sound[1:]))
    return crossings / 2 / (len(sound) / 48_000)
