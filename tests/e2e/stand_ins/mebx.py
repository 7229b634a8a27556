"""Writes tracks of timed metadata (QuickTime's `mebx`), which phones store in addition to video and audio."""

from __future__ import annotations

import struct

from stand_ins.boxes import HEADER, box, box_at, full_box, with_child

MOVIE_CLOCK_HZ = 1000
UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def with_data_tracks(data: bytes, first_id: int, *keys: bytes) -> bytes:
    """Adds a track for each key, numbered from `first_id`, with one sample that lasts as long as the film."""
    for track_id, key in enumerate(keys, first_id):
        sample = struct.pack(">II", HEADER + len(key), 1) + key
        moov = box_at(data, "moov")[0]
        data = data[:moov] + box("mdat", sample) + data[moov:]
        data = with_child(data, "moov", _track(track_id, key, moov + HEADER, len(sample), _length(data)))
    return data


def _length(data: bytes) -> int:
    at = box_at(data, "moov/mvhd")[0]
    clock, length = struct.unpack(">II", data[at + 20 : at + 28])
    assert clock == MOVIE_CLOCK_HZ
    return length


def _track(track_id: int, key: bytes, sample_at: int, sample_bytes: int, length: int) -> bytes:
    header = struct.pack(">IIIII", 0, 0, track_id, 0, length) + bytes(16) + UNITY + bytes(8)
    handler = struct.pack(">4s4s12x", b"mhlr", b"meta") + b"\x00"
    data_handler = struct.pack(">4s4s12x", b"dhlr", b"url ") + b"\x00"
    references = box("dinf", full_box("dref", struct.pack(">I", 1), full_box("url ", flags=1)))
    general = box("gmhd", full_box("gmin", bytes(12)))
    media = box(
        "mdia",
        full_box("mdhd", struct.pack(">IIIIHH", 0, 0, MOVIE_CLOCK_HZ, length, 0x55C4, 0)),
        full_box("hdlr", handler),
        box("minf", general, full_box("hdlr", data_handler), references, _samples(key, sample_at, sample_bytes, length)),
    )
    return box("trak", full_box("tkhd", header, flags=15), media)


def _samples(key: bytes, at: int, size: int, length: int) -> bytes:
    names = box("keys", box("\x00\x00\x00\x01", box("keyd", key)))
    entry = box("mebx", bytes(6), struct.pack(">H", 1), names)
    return box(
        "stbl",
        full_box("stsd", struct.pack(">I", 1), entry),
        full_box("stts", struct.pack(">III", 1, 1, length)),
        full_box("stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        full_box("stsz", struct.pack(">II", size, 1)),
        full_box("stco", struct.pack(">II", 1, at)),
    )
