"""Makes films whose frames and whose sound tell their own time, and reads that time from finished files.

The brightness of a frame encodes its number. The pitch of the sound rises steadily, so that a few periods give the time.
"""

from __future__ import annotations

import json
import subprocess
from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

RATE = 25
LOW_HZ, RISE_HZ = 400, 100
"""The pitch at the start, and by how much it rises in a second."""
DECODED_HZ = 48_000
WINDOW_SECONDS = 0.08
CODING = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-g", "25", "-pix_fmt", "yuv420p")


def make(file: Path, seconds: float, *options: str, start: float = 0, sound_hz: int = 48_000, size: str = "320x180") -> Path:
    """Makes a film of which the first frame and the first sample tell the time `start`, with these output options."""
    frame = round(start * RATE)
    picture = f"nullsrc=s=16x16:r={RATE}:d={seconds},geq=lum='20+2*mod(N+{frame},100)':cb=128:cr=128,scale={size}:flags=neighbor,setsar=1"
    pitch = f"{LOW_HZ}*(t+{start})+{RISE_HZ / 2}*(t+{start})^2"
    sound = f"aevalsrc=0.5*sin(2*PI*({pitch})):s={sound_hz}:d={seconds}"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    subprocess.run([*command, *CODING, *options, str(file)], check=True, timeout=60)
    return file


def remake(source: Path, target: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Rewrites a film with these options of ffmpeg."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *before, "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True, timeout=60)
    return target


@dataclass(frozen=True)
class Heard:
    """The decoded first audio track of a file, as mono samples."""

    samples: array

    @property
    def seconds(self) -> float:
        """Returns its length."""
        return len(self.samples) / DECODED_HZ

    def pitch_hz(self, at: float) -> tuple[float, float]:
        """Returns the mean pitch around a time, and the middle of the periods that it was measured by."""
        first = max(0, round((at - WINDOW_SECONDS / 2) * DECODED_HZ))
        window = self.samples[first : first + round(WINDOW_SECONDS * DECODED_HZ)]
        rises = [index - 1 + below / (below - above) for index, (below, above) in enumerate(zip(window, window[1:]), 1) if below < 0 <= above]
        assert len(rises) > 4, f"there is no tone at {at} s: {len(rises)} periods"
        pitch = (len(rises) - 1) * DECODED_HZ / (rises[-1] - rises[0])
        return pitch, (first + (rises[0] + rises[-1]) / 2) / DECODED_HZ

    def told(self, at: float) -> float:
        """Returns the time that the sound tells at this time of the file."""
        pitch, middle = self.pitch_hz(at)
        return (pitch - LOW_HZ) / RISE_HZ + at - middle


def heard(file: Path) -> Heard:
    """Decodes the first audio track of a file."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(file), "-map", "0:a:0", "-ac", "1", "-ar", str(DECODED_HZ)]
    done = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True, timeout=60)
    return Heard(array("h", done.stdout))


def check_frames(file: Path, numbers: list[int], off_by: int = 0) -> None:
    """Fails unless the file shows the frames with these numbers, each at most `off_by` early or late. Brightness may be off by one."""
    found = seen(file)
    assert abs(len(found) - len(numbers)) <= off_by, (len(found), len(numbers))
    wrong = [(place, luma, number) for place, (luma, number) in enumerate(zip(found, numbers)) if abs(luma - 20 - 2 * (number % 100)) > 1 + 2 * off_by]
    assert not wrong, wrong[:5]


def seen(file: Path) -> list[int]:
    """Returns the brightness of each decoded frame: 20, and 2 for each frame that its number says, which repeats from 100 on."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(file), "-map", "0:v:0", "-vf", "extractplanes=y,crop=1:1:20:20"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True, timeout=60)
    return list(done.stdout)


def steps(file: Path) -> list[Fraction]:
    """Returns the times in seconds from the start of each shown audio packet to the start of the next."""
    command = ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "packet=pts,flags:stream=time_base", "-of", "json"]
    report = json.loads(subprocess.run([*command, str(file)], capture_output=True, text=True, check=True, timeout=60).stdout)
    base = Fraction(report["streams"][0]["time_base"])
    times = [packet["pts"] * base for packet in report["packets"] if "D" not in packet["flags"]]
    return [after - before for before, after in zip(times, times[1:])]


def check_sound(file: Path, seconds: float, at: list[float], within: float = 0.03) -> None:
    """Fails unless the sound is even, has this length, and tells the right time at these places."""
    apart = set(steps(file))
    assert apart == {Fraction(1024, 48_000)}, f"packets are {sorted(float(step) for step in apart)} s apart"
    sound = heard(file)
    assert abs(sound.seconds - seconds) < 0.064, f"{sound.seconds} s of sound instead of {seconds} s"
    off = {place: round(sound.told(place) - place, 4) for place in at}
    assert all(abs(by) <= within for by in off.values()), f"the sound is off: {off}"
