"""Stand-ins for damaged and hostile files. Each must be refused with its reason, and none may make abanico read another file."""

from __future__ import annotations

import random
from pathlib import Path

from stand_ins import boxes
from stand_ins.ffmpeg import VP9, X264, make, picture, tone
from stand_ins.transport_streams import second_is_missing
from stand_ins.webm_files import PIXEL_HEIGHT, PIXEL_WIDTH

STEREO = ("-c:a", "aac", "-ac", "2")
HUGE = 12_336
VP9_SYNC_CODE = b"\x49\x83\x42"
NEIGHBOUR = "neighbour/film.ts"
# Port 1 of this machine, where nothing listens.
HOST = "http://127.0.0.1:1"


def _film(file: Path, *options: str) -> bytes:
    """Makes a film of two seconds and returns its bytes."""
    make(file, picture("320x180", 25, 50), tone(2), X264, STEREO, options)
    return file.read_bytes()


def headers_overwritten(file: Path) -> None:
    """In both tracks, the name of the box that names the codec is overwritten."""
    data = _film(file)
    for track in ("moov/trak[0]", "moov/trak[1]"):
        data = boxes.overwritten(data, f"{track}/mdia/minf", 4, b"\xf8inf")
    file.write_bytes(data)


def playlist(file: Path, *places: str, key: str = "") -> None:
    """Writes a playlist of these URLs, after the URL of a key."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:10"]
    lines += [f'#EXT-X-KEY:METHOD=AES-128,URI="{key}"'] if key else []
    lines += [line for place in places for line in ("#EXTINF:10.0,", place)]
    file.write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))


def reads_neighbour(file: Path) -> None:
    """A playlist that refers to a film in the same folder, which exists."""
    neighbour = file.parent / NEIGHBOUR
    neighbour.parent.mkdir(exist_ok=True)
    second_is_missing(neighbour)
    playlist(file, NEIGHBOUR)


def reads_hosts(file: Path) -> None:
    """A playlist that refers to a system file, a host and a key on that host."""
    playlist(file, "file:///etc/hostname", f"{HOST}/", f"concat:file:///etc/hostname|{HOST}/x.ts", key=f"{HOST}/key")


def random_bytes(file: Path) -> None:
    """64 KiB from a seeded generator."""
    file.write_bytes(random.Random("not a film").randbytes(65_536))


def text(file: Path) -> None:
    """A page of text."""
    file.write_text("This is a text file under the name of a film.\n" * 25)


def half_is_gone(file: Path) -> None:
    """The first half of the bytes of a film of two seconds with the index at the start."""
    data = _film(file, "-movflags", "+faststart")
    file.write_bytes(data[: len(data) // 2])


def index_is_gone(file: Path) -> None:
    """The first half of the bytes of a film of two seconds with the index at the end."""
    data = _film(file)
    file.write_bytes(data[: len(data) // 2])


def claims_huge_picture(file: Path) -> None:
    """Three frames of VP9. The size is overwritten in the track's header and in the first frame's header."""
    make(file, picture("320x320", 25, 3), VP9)
    data = file.read_bytes()
    for element in (PIXEL_WIDTH, PIXEL_HEIGHT):
        at = data.index(element + b"\x82" + (320).to_bytes(2, "big")) + 2
        data = data[:at] + HUGE.to_bytes(2, "big") + data[at + 2 :]
    # After the sync code there are four bits about colours, then width and height minus one, 16 bits each.
    at = data.index(VP9_SYNC_CODE) + len(VP9_SYNC_CODE)
    header = int.from_bytes(data[at : at + 5], "big")
    sides = (HUGE - 1) << 16 | (HUGE - 1)
    header = header & ~(0xFFFFFFFF << 4) | sides << 4
    file.write_bytes(data[:at] + header.to_bytes(5, "big") + data[at + 5 :])


def empty(file: Path) -> None:
    """Nothing."""
    file.write_bytes(b"")
