"""Finds and changes boxes of MP4 and QuickTime files (ISO 14496-12), byte by byte.

A place is written like `moov/trak[1]/tkhd`: box types from the outermost to the innermost, with an index except for the first
of a type.
"""

from __future__ import annotations

import re
import struct

# Bytes of a box's own fields between its header and the boxes inside it.
FIELDS = {"stsd": 8, "hvc1": 78, "avc1": 78}
HEADER = 8
# Offset of the matrix in a `tkhd` box of version 0, including the header.
TKHD_MATRIX = HEADER + 40
# Entries a, b and c, d of the matrix for a quarter turn clockwise, a half turn, and a swap of columns and rows.
QUARTER_TURN, HALF_TURN, SWAP = (0, 1, -1, 0), (-1, 0, 0, -1), (0, 1, 1, 0)


def chain(data: bytes, place: str) -> list[tuple[int, int]]:
    """Returns start and size of every box on the path to `place`, which is the last one. Raises KeyError if one is missing."""
    found, start, end = [], 0, len(data)
    for step in place.split("/"):
        name, number = re.fullmatch(r"(.{4})(?:\[(\d+)\])?", step).groups()
        boxes = [(at, size) for at, size, kind in _children(data, start, end) if kind == name]
        if int(number or 0) >= len(boxes):
            raise KeyError(f"{step} of {place}")
        at, size = boxes[int(number or 0)]
        found.append((at, size))
        start, end = at + HEADER + FIELDS.get(name, 0), at + size
    return found


def box_at(data: bytes, place: str) -> tuple[int, int]:
    """Returns start and size of a box."""
    return chain(data, place)[-1]


def box(kind: str, *contents: bytes) -> bytes:
    """A new box."""
    content = b"".join(contents)
    return struct.pack(">I4s", HEADER + len(content), kind.encode()) + content


def full_box(kind: str, *contents: bytes, flags: int = 0) -> bytes:
    """Returns a new box with version 0 and flags."""
    return box(kind, struct.pack(">I", flags), *contents)


def overwritten(data: bytes, place: str, offset: int, new: bytes) -> bytes:
    """Writes `new` over the bytes at `offset` from the start of a box."""
    at = box_at(data, place)[0] + offset
    return data[:at] + new + data[at + len(new) :]


def with_child(data: bytes, parent: str, child: bytes) -> bytes:
    """Appends a box to the contents of another. The index must follow the media data, because it holds the offsets of that data."""
    assert box_at(data, "moov")[0] > box_at(data, "mdat")[0], "the media data would move"
    boxes = chain(data, parent)
    end = sum(boxes[-1])
    grown = bytearray(data)
    for at, size in boxes:
        grown[at : at + 4] = struct.pack(">I", size + len(child))
    return bytes(grown[:end]) + child + bytes(grown[end:])


def matrix_of(data: bytes, track: str = "moov/trak") -> tuple[int, ...]:
    """Returns the entries a, b, c, d of a track's display matrix."""
    at = box_at(data, f"{track}/tkhd")[0] + TKHD_MATRIX
    a, b, _, c, d = struct.unpack(">5i", data[at : at + 20])
    return tuple(entry // 65_536 for entry in (a, b, c, d))


def turned(data: bytes, matrix: tuple[int, int, int, int], width: int, height: int) -> bytes:
    """Gives the first track a display matrix. `width` and `height` are those of the stored picture: the matrix also moves the
    rotated picture back into view, as phones do.
    """
    a, b, c, d = matrix
    x, y = (width if a < 0 else height if c < 0 else 0), (height if d < 0 else width if b < 0 else 0)
    entries = [a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30]
    return overwritten(data, "moov/trak/tkhd", TKHD_MATRIX, struct.pack(">9i", *entries))


def _children(data: bytes, start: int, end: int) -> list[tuple[int, int, str]]:
    boxes = []
    while start + HEADER <= end:
        size, kind = struct.unpack(">I4s", data[start : start + HEADER])
        assert size >= HEADER, f"a box of {size} bytes at {start}"
        boxes.append((start, size, kind.decode("latin-1")))
        start += size
    return boxes
