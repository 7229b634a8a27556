"""Compares what was made of a film with what a viewer should see and hear. It knows nothing of abanico: pictures are matched
with pictures, sound with sound, and colours are read where a browser shows them.

The truth is a clean film that plays everywhere: the same pictures at a constant rate, the same sound from the first picture on.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 64, 36
# Grey levels per pixel: how much worse the nearest picture in time may fit than the best of its neighbours, and how far from it
# a picture may be at all. Encoding changes less: see tests/e2e/test_judge.py for what each fault changes.
WORSE_LEVELS = 1.5
FAR_LEVELS = 10.0
NEIGHBOURS = 4
SAMPLES = 8000
SOUND_PLACES = 5
PIECE_SECONDS = 0.5
SEARCH_SECONDS = 0.3
MOST_SOUND_OFFSET_SECONDS = 0.03
LEAST_LIKENESS = 0.8
# Encoders replace noise that nobody hears by other noise. This is 50 dB below the loudest.
QUIET_LEVEL = 100
# Encoders leave noise even in black.
BLACK_LEVELS = 6
# Rounding to 8 bit in BT.709 moves a saturated colour by up to 9 levels, in the source too; another matrix moves it by 15 and more.
COLOUR_LEVELS = 9


@dataclass(frozen=True)
class Pictures:
    """A film's pictures, small and grey, with their times in seconds from the first one."""

    frames: np.ndarray
    times: np.ndarray

    @property
    def step(self) -> float:
        """The usual time from a picture to the next, in seconds."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    @property
    def end(self) -> float:
        """When the last picture ends, if it lasts as long as usual."""
        return float(self.times[-1]) + self.step


def tool(*words: str | Path) -> bytes:
    """Runs ffmpeg or ffprobe and returns what it writes."""
    return subprocess.run([*map(str, words)], check=True, capture_output=True, timeout=300).stdout


def pictures(file: Path, filters: str = "") -> Pictures:
    """Decodes a film's pictures, upright as players show them, after these filters."""
    entries = ["-show_entries", "frame=best_effort_timestamp_time", "-of", "json"]
    found = json.loads(tool("ffprobe", "-v", "error", "-select_streams", "v:0", *entries, file))["frames"]
    times = np.array([float(frame["best_effort_timestamp_time"]) for frame in found])
    chain = f"{filters + ',' if filters else ''}scale={WIDTH}:{HEIGHT}:flags=area,format=gray"
    raw = tool("ffmpeg", "-v", "error", "-i", file, "-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH).astype(np.int16)
    assert len(frames) == len(times), f"{len(frames)} pictures and {len(times)} times"
    return Pictures(frames, times - times[0])


def shape(file: Path) -> Fraction:
    """Returns how much wider than high a film is shown."""
    entries = "stream=width,height,sample_aspect_ratio:stream_side_data=rotation"
    [stream] = json.loads(tool("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", file))["streams"]
    told = stream.get("sample_aspect_ratio", "1:1")
    wide = Fraction(stream["width"], stream["height"]) * Fraction(1 if told in ("0:1", "N/A") else told.replace(":", "/"))
    turned = any(side.get("rotation", 0) % 180 for side in stream.get("side_data_list", []))
    return 1 / wide if turned else wide


def picture_within(made: Path, source: Path) -> tuple[Pictures, list[str]]:
    """Decodes the part of what was made that is the source's picture, without the bars that fit it into another shape. Returns
    also what is wrong with the bars. Up to two percent are rounding, not bars."""
    share = float(shape(source) / shape(made))
    if abs(share - 1) <= 0.02:
        return pictures(made), []
    across, down = min(share, 1), min(1 / share, 1)
    whole = pictures(made).frames
    x, y = int(WIDTH * (1 - across) / 2), int(HEIGHT * (1 - down) / 2)
    beside = [whole[:, :y], whole[:, HEIGHT - y :], whole[:, :, :x], whole[:, :, WIDTH - x :]]
    brightest = max((int(bar.max()) for bar in beside if bar.size), default=0)
    told = [f"bars are not black, up to {brightest}"] if brightest > BLACK_LEVELS else []
    return pictures(made, f"crop=iw*{across}:ih*{down}"), told


def sound(file: Path, gaps: bool = False) -> np.ndarray | None:
    """Decodes a film's default sound to one channel, from its first picture on; `None` if it has none. With `gaps`, silence
    fills those between packets, as in a player."""
    entries = "stream=index,codec_type,start_time:stream_disposition=default,attached_pic"
    streams = json.loads(tool("ffprobe", "-v", "error", "-show_entries", entries, "-of", "json", file))["streams"]
    video = [one for one in streams if one["codec_type"] == "video" and not one["disposition"]["attached_pic"]]
    audio = sorted((one for one in streams if one["codec_type"] == "audio"), key=lambda one: -one["disposition"]["default"])
    if not audio:
        return None
    filled = ":async=1" if gaps else ""
    words = ["-v", "fatal", "-copyts", "-i", file, "-map", f"0:{audio[0]['index']}"]
    raw = tool("ffmpeg", *words, "-af", f"aresample={SAMPLES}{filled},aformat=channel_layouts=mono", "-f", "s16le", "-")
    heard = np.frombuffer(raw, np.int16).astype(np.float64)
    start = [float(one.get("start_time", 0)) for one in (audio[0], *video[:1])]
    late = round((start[0] - start[-1]) * SAMPLES)
    return np.concatenate([np.zeros(late), heard]) if late >= 0 else heard[-late:]


def shown_by(source: Pictures, made: Pictures) -> Pictures:
    """Returns what a player of the source, whose times may be uneven, shows at each time of what was made."""
    seen = np.searchsorted(source.times, made.times + made.step / 2, "right") - 1
    return Pictures(source.frames[np.maximum(seen, 0)], made.times)


def graded(source: Pictures, made: Pictures) -> Pictures:
    """Returns the source with the brightness that the same pictures have in what was made, for films whose range of brightness
    is mapped to another: each level becomes the mean of what it became."""
    levels = source.frames.ravel()
    counts = np.bincount(levels, minlength=256)
    sums = np.bincount(levels, made.frames.ravel(), minlength=256)
    known = np.nonzero(counts)[0]
    curve = np.interp(np.arange(256), known, sums[known] / counts[known])
    return Pictures(np.round(curve[source.frames]).astype(np.int16), source.times)


def picture_faults(made: Pictures, truth: Pictures, slack: float = 0.51) -> list[str]:
    """Returns what is wrong with the pictures, a phrase each. A picture may be `slack` of a step early or late."""
    faults = []
    if abs(made.end - truth.end) > 1.01 * max(made.step, truth.step):
        faults.append(f"lasts {made.end:.3f} s instead of {truth.end:.3f} s")
    misplaced, unlike = [], []
    for number, (frame, time) in enumerate(zip(made.frames, made.times, strict=True)):
        nearest = int(np.argmin(np.abs(truth.times - time)))
        around = range(max(nearest - NEIGHBOURS, 0), min(nearest + NEIGHBOURS + 1, len(truth.times)))
        apart = {place: float(np.abs(truth.frames[place] - frame).mean()) for place in around}
        allowed = [place for place in around if abs(truth.times[place] - time) <= max(made.step, truth.step) * slack + 1e-3]
        own = min((apart[place] for place in allowed), default=apart[nearest])
        if own > min(apart.values()) + WORSE_LEVELS:
            misplaced.append(number)
        if own > FAR_LEVELS:
            unlike.append(number)
    for what, numbers in (("out of place", misplaced), ("unlike the source", unlike)):
        if numbers:
            faults.append(f"{len(numbers)} of {len(made.times)} pictures {what}, first {numbers[0]}")
    return faults


def sound_faults(made: np.ndarray | None, truth: np.ndarray | None, places: list[float] | None = None) -> list[str]:
    """Returns what is wrong with the sound, a phrase each. It is compared at these seconds, or at five places."""
    if made is None or truth is None:
        return [] if made is truth else ["has no sound" if made is None else "has sound that nobody made"]
    length = len(truth) / SAMPLES
    faults = []
    if abs(len(made) / SAMPLES - length) > 0.1:
        faults.append(f"sound lasts {len(made) / SAMPLES:.3f} s instead of {length:.3f} s")
    for place in places or [length * (2 * number + 1) / (2 * SOUND_PLACES) for number in range(SOUND_PLACES)]:
        at, size, reach = (round(seconds * SAMPLES) for seconds in (place, PIECE_SECONDS, SEARCH_SECONDS))
        piece, wide = truth[at : at + size], made[max(at - reach, 0) : at + size + reach]
        # Sound that ends a little earlier than the truth is compared to its end.
        wide = np.concatenate([wide, np.zeros(max(min(at, reach) + len(piece) + reach - len(wide), 0))])
        if len(piece) < size // 2 or len(wide) < len(piece) or piece.std() < QUIET_LEVEL:
            continue
        energy = np.sqrt(np.convolve(wide**2, np.ones(len(piece)), "valid")) * np.sqrt((piece**2).sum()) + 1.0
        likeness = np.correlate(wide, piece, "valid") / energy
        best = int(np.argmax(likeness))
        offset = (best - min(at, reach)) / SAMPLES
        if likeness[best] < LEAST_LIKENESS:
            faults.append(f"sound at {place:.1f} s is another ({likeness[best]:.2f})")
        elif abs(offset) > MOST_SOUND_OFFSET_SECONDS:
            faults.append(f"sound at {place:.1f} s is off by {offset * 1000:.0f} ms")
    return faults


def stamp_faults(file: Path) -> list[str]:
    """Returns what is wrong with the time stamps of the sound's packets: players stop where they are uneven."""
    packets = tool("ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=pts_time,duration_time", "-of", "json", file)
    found = [packet for packet in json.loads(packets)["packets"] if "duration_time" in packet]
    usual = float(np.median([float(packet["duration_time"]) for packet in found])) if found else 0.0
    uneven = 0
    for one, other in zip(found, found[1:], strict=False):
        apart, lasts = float(other["pts_time"]) - float(one["pts_time"]), float(one["duration_time"])
        uneven += abs(apart - lasts) > 0.002 or abs(lasts - usual) > 0.002
    return [f"{uneven} of {len(found)} sound packets at uneven times"] if uneven else []


def colour_fault(shown: tuple[int, int, int], wanted: tuple[int, int, int]) -> str | None:
    """Compares a colour that a browser showed with the one that it should show."""
    off = max(abs(one - other) for one, other in zip(shown, wanted, strict=True))
    return f"shows {shown} instead of {wanted}" if off > COLOUR_LEVELS else None
