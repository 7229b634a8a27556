"""Reads and cuts MPEG transport streams (ISO 13818-1) packet by packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

PACKET_BYTES = 188
# The PIDs that ffmpeg gives to the first two streams.
VIDEO_PID, AUDIO_PID = 0x100, 0x101
CLOCK_HZ = 90_000
WRAP = 1 << 33


def packets(data: bytes) -> Iterator[bytes]:
    """Yields the packets of a stream."""
    assert len(data) % PACKET_BYTES == 0
    for at in range(0, len(data), PACKET_BYTES):
        yield data[at : at + PACKET_BYTES]


def pid(packet: bytes) -> int:
    """Returns the PID, which is the stream that a packet belongs to."""
    return (packet[1] & 0x1F) << 8 | packet[2]


def time_of(packet: bytes) -> int | None:
    """Returns the presentation time, in ticks, of the frame that starts in a packet; None if no frame starts there."""
    if not packet[1] & 0x40:
        return None
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if packet[start : start + 3] != b"\x00\x00\x01" or not packet[start + 7] & 0x80:
        return None
    a, b, c, d, e = packet[start + 9 : start + 14]
    return (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1


def times(data: bytes, stream: int) -> list[int]:
    """Returns the presentation times of a stream's frames, in file order."""
    found = (time_of(packet) for packet in packets(data) if pid(packet) == stream)
    return [time for time in found if time is not None]


def without(data: bytes, is_left_out: Callable[[int, int], bool]) -> bytes:
    """Removes the frames for which `is_left_out` is true; it gets each frame's PID and time. Tables always stay."""
    kept, now = [], {}
    for packet in packets(data):
        stream, time = pid(packet), time_of(packet)
        now[stream] = now.get(stream) if time is None else time
        if now[stream] is None or not is_left_out(stream, now[stream]):
            kept.append(packet)
    return b"".join(kept)


def jumps(data: bytes, stream: int) -> int:
    """Returns how often the continuity counter of a stream does not increase by one."""
    last, found = None, 0
    for packet in packets(data):
        if pid(packet) == stream and packet[3] & 0x10:
            counter = packet[3] & 0x0F
            found += last is not None and counter != (last + 1) % 16
            last = counter
    return found
