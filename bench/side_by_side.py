#!/usr/bin/env python3
"""Compares cost and quality of three H.264 rungs of a film, made by abanico and by ffmpeg commands typed by hand.

Encodes video files (default: the shared bench clips) with ABANICO_BIN; use a release build to be fair. Writes a report with
tables and plots to bench/report/, and its tables to stdout. Machines differ, so nothing here passes or fails.

The ways are: abanico's job with SINGLE_PASS, SINGLE_PASS_HQ and MULTI_PASS_HQ; one ffmpeg command (one decode, split, three
encodes) at the presets veryfast, faster, medium and slow, and once with the Lanczos kernel, which most people leave out; the
same as three commands; two passes; chunks by hand (chunks_by_hand.py). All have the same rates, maximum rates, buffers and
groups of two seconds, and they run in alternation. VMAF is measured by an ffmpeg with libvmaf (package imageio-ffmpeg).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(WORKSPACE / "tests" / "e2e"))

from harness import binary  # noqa: E402
from plot import Series, plot  # noqa: E402
from rate_curves import bd_rate_percent  # noqa: E402
from timing import timed  # noqa: E402

SHARED = Path(os.environ.get("ABANICO_SHARED") or WORKSPACE.parent / "shared") / "media" / "bench"
REPORT = Path(__file__).with_name("report")
#: Each rung's height as a fraction of the source's, and its bits per pixel at 25 frames per second.
RUNGS = ((1, 1, 0.115), (2, 3, 0.195), (4, 9, 0.146))
#: Number of frames at the end of a copy that may depend on frames after the cut (H.264 reorders by 16 at most).
REORDERED = 16
PRESETS = ("veryfast", "faster", "medium", "slow")
OURS = "abanico SINGLE_PASS_HQ"
LEVELS = ("SINGLE_PASS", "SINGLE_PASS_HQ", "MULTI_PASS_HQ")


@dataclass(frozen=True)
class Rung:
    """One size and bit rate to encode to."""

    width: int
    height: int
    bits_per_second: int


@dataclass(frozen=True)
class Source:
    """A film and its facts."""

    file: Path
    rate: str
    rungs: tuple[Rung, ...]
    #: Number of frames to compare. If a copy ends between frames that depend on each other, gaps follow these frames, and some
    #: ways fill them.
    compared: int

    @property
    def group_frames(self) -> int:
        """Number of frames in two seconds."""
        above, below = map(int, self.rate.split("/"))
        return round(2 * above / below)


@dataclass
class Run:
    """The cost of one run, and the files that it made."""

    cpu_s: float
    wall_s: float
    peak_mib: float
    own_cpu_s: tuple[float, float] | None
    files: list[Path]


@dataclass
class Result:
    """One way at one fraction of the bit rates."""

    way: str
    part: float
    cpu_s: float
    wall_s: float
    peak_mib: float
    own_share: tuple[float, float] | None
    bits_per_second: list[float] = field(default_factory=list)
    vmaf: list[float] = field(default_factory=list)


def main() -> int:
    """Runs all ways on all films and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", nargs="*", type=Path, help="video files (default: the shared bench clips)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way, of which the median counts (default: 3)")
    parser.add_argument("--seconds", type=int, default=20, help="length of each film in seconds (default: 20)")
    parser.add_argument("--parts", default="0.5,0.7,1,1.4", help="fractions of the rates, for the curves (default: 0.5,0.7,1,1.4)")
    parser.add_argument("--ways", default="", help="only ways whose names contain one of these texts, separated by semicolons")
    given = parser.parse_args()
    vmaf = vmaf_ffmpeg()
    films = given.videos or sorted(SHARED.glob("*"))
    if not films:
        sys.exit("side_by_side: the shared clips are missing: name a video file")
    report = [heading(given)]
    summaries = []
    with tempfile.TemporaryDirectory() as folder:
        for film in films:
            source = shortened(film.resolve(), given.seconds, Path(folder))
            parts = [float(part) for part in given.parts.split(",")]
            words = [word for word in given.ways.split(";") if word]
            results = compare(source, parts, given.rounds, words, vmaf, Path(folder))
            report.append(section(film.name, source, results))
            print(report[-1], flush=True)
            summaries.append(summary(film.name, source, results))
    report.append(overall([one for one in summaries if one]))
    print(report[-1])
    REPORT.mkdir(exist_ok=True)
    (REPORT / "README.md").write_text("\n".join(report))
    return 0


def vmaf_ffmpeg() -> str:
    """Returns the path of an ffmpeg that has libvmaf."""
    try:
        import imageio_ffmpeg
    except ImportError:
        sys.exit("side_by_side: the ffmpeg that measures VMAF is missing: run `pip install imageio-ffmpeg`")
    program = imageio_ffmpeg.get_ffmpeg_exe()
    filters = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True, check=True).stdout
    if " libvmaf " not in filters:
        sys.exit(f"side_by_side: `{program}` has no libvmaf")
    return program


def heading(given: argparse.Namespace) -> str:
    """Returns the report's heading: what was run, and where."""
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return (
        f"# Side by side\n\n{os.cpu_count()} processors, {platform.machine()}, ffmpeg {version}; the first {given.seconds} s of each "
        f"film, median of {given.rounds} round(s), ways in alternation. VMAF is the mean of all frames but the last {REORDERED}, of "
        "the rung scaled up to its source.\n"
    )


def shortened(film: Path, seconds: int, folder: Path) -> Source:
    """Copies the first seconds of the film, video only, and returns them with the rungs that fit."""
    file = folder / f"{film.stem}.mkv"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(film), "-t", str(seconds), "-map", "0:v:0", "-c", "copy", str(file)]
    subprocess.run(command, check=True)
    entries = "stream=width,height,r_frame_rate,nb_read_packets"
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries", entries, "-of", "json", str(file)]
    stream = json.loads(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)["streams"][0]
    above, below = map(int, stream["r_frame_rate"].split("/"))
    rungs = []
    for num, den, bits_per_pixel in RUNGS:
        width, height = (2 * round(side * num / den / 2) for side in (stream["width"], stream["height"]))
        rungs.append(Rung(width, height, round(width * height * bits_per_pixel * 25 * (above / below / 25) ** 0.5)))
    return Source(file, stream["r_frame_rate"], tuple(rungs), int(stream["nb_read_packets"]) - REORDERED)


def ways(words: list[str]) -> list[str]:
    """Returns the names of all ways, or of those that contain one of the words."""
    names = [f"abanico {level}" for level in LEVELS]
    names += [f"one command, {preset}" for preset in PRESETS] + ["one command with Lanczos, faster"]
    names += ["three commands, medium", "two passes, medium", "chunks by hand, medium"]
    return [name for name in names if not words or any(word in name for word in words)]


def compare(source: Source, parts: list[float], rounds: int, words: list[str], vmaf: str, folder: Path) -> list[Result]:
    """Runs every way at every fraction of the bit rates, in alternation."""
    results = []
    for part in parts:
        runs: dict[str, list[Run]] = {way: [] for way in ways(words)}
        for number in range(rounds):
            for way in runs:
                print(f"{source.file.stem}: {part} of the bit rates, round {number + 1}, {way}", file=sys.stderr, flush=True)
                place = folder / f"{way} {part}".replace(",", "").replace(" ", "-")
                place.mkdir(exist_ok=True)
                runs[way].append(run(way, source, part, place))
        for way, made in runs.items():
            median = {name: statistics.median(getattr(one, name) for one in made) for name in ("cpu_s", "wall_s", "peak_mib")}
            own = [tuple(part / one.cpu_s for part in one.own_cpu_s) for one in made if one.own_cpu_s]
            result = Result(way, part, **median, own_share=statistics.median_low(own) if own else None)
            for file in made[-1].files:
                bits, seconds = size_and_length(file)
                result.bits_per_second.append(bits / seconds)
                result.vmaf.append(measured_vmaf(vmaf, source, file))
            results.append(result)
    return results


def run(way: str, source: Source, part: float, place: Path) -> Run:
    """Runs one way once."""
    if way.startswith("abanico"):
        return by_abanico(way.split()[1], source, part, place)
    preset = way.rsplit(" ", 1)[1]
    files = [place / f"{rung.height}.mp4" for rung in source.rungs]
    total = Run(0, 0, 0, None, files)
    for command in typed(way, preset, source, part, files, place):
        wall_s, cpu_s, peak_mib, _ = timed(command, place)
        total = Run(total.cpu_s + cpu_s, total.wall_s + wall_s, max(total.peak_mib, peak_mib), None, files)
    return total


def rate_words(rung: Rung, part: float) -> list[str]:
    """Returns rate, maximum rate and buffer, which are the same as in the job."""
    rate = round(rung.bits_per_second * part)
    return ["-b:v", str(rate), "-maxrate", str(rate * 3 // 2), "-bufsize", str(rate * 2)]


def typed(way: str, preset: str, source: Source, part: float, files: list[Path], place: Path) -> list[list[str]]:
    """Returns the commands of a way."""
    head = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", "-i", str(source.file)]
    group = ["-c:v", "libx264", "-preset", preset, "-profile:v", "high", "-g", str(source.group_frames), "-pix_fmt", "yuv420p"]
    kernel = "lanczos" if "Lanczos" in way else "bicubic"
    scale = [f"scale={rung.width}:{rung.height}:flags={kernel}" for rung in source.rungs]
    tail = ["-movflags", "+faststart"]
    if way.startswith("one command"):
        names = "".join(f"[s{index}]" for index in range(len(files)))
        graph = f"[0:v]split={len(files)}{names};" + ";".join(f"[s{i}]{one}[v{i}]" for i, one in enumerate(scale))
        command = [*head, "-filter_complex", graph]
        for index, (rung, file) in enumerate(zip(source.rungs, files, strict=True)):
            command += ["-map", f"[v{index}]", *group, *rate_words(rung, part), *tail, str(file)]
        return [command]
    if way.startswith("chunks by hand"):
        rungs = [f"{rung.width}x{rung.height}:{round(rung.bits_per_second * part)}" for rung in source.rungs]
        script = str(Path(__file__).with_name("chunks_by_hand.py"))
        return [[sys.executable, script, str(source.file), str(place), preset, source.rate, str(source.compared + REORDERED), *rungs]]
    commands = []
    for rung, one, file in zip(source.rungs, scale, files, strict=True):
        words = [*head, "-an", "-vf", one, *group, *rate_words(rung, part)]
        if way.startswith("two passes"):
            log = ["-passlogfile", str(place / f"log-{rung.height}")]
            # Not `-f null`: with that muxer ffmpeg delivers other frames than with MP4, and libx264 then refuses the second pass.
            commands.append([*words, "-pass", "1", *log, "-f", "mp4", os.devnull])
            words += ["-pass", "2", *log]
        commands.append([*words, *tail, str(file)])
    return commands


def by_abanico(level: str, source: Source, part: float, place: Path) -> Run:
    """Encodes the same rungs with a MediaConvert job."""
    outputs = []
    for rung in source.rungs:
        rate = round(rung.bits_per_second * part)
        own = {
            "rateControlMode": "VBR", "bitrate": rate, "maxBitrate": rate * 3 // 2, "hrdBufferSize": rate * 2,
            "gopSize": 2, "gopSizeUnits": "SECONDS", "codecProfile": "HIGH", "qualityTuningLevel": level,
        }  # fmt: skip
        video = {"width": rung.width, "height": rung.height, "codecSettings": {"codec": "H_264", "h264Settings": own}}
        outputs.append({"nameModifier": f"_{rung.height}", "containerSettings": {"container": "MP4"}, "videoDescription": video})
    group = {"type": "FILE_GROUP_SETTINGS", "fileGroupSettings": {"destination": "s3://out/film"}}
    job = {"settings": {"inputs": [{"fileInput": "s3://in/film"}], "outputGroups": [{"outputGroupSettings": group, "outputs": outputs}]}}
    (place / "job.json").write_text(json.dumps(job))
    out = place / "out"
    command = [str(binary()), "transcode", str(source.file), "--job", str(place / "job.json"), "--out", str(out), "--json"]
    wall_s, cpu_s, peak_mib, stdout = timed(command, place)
    done = next(line for line in map(json.loads, stdout.splitlines()) if line["type"] == "done")
    files = [out / f"{source.file.stem}_{rung.height}.mp4" for rung in source.rungs]
    own = (done["own_cpu_ms"] / 1000, cpu_s - done["ffmpeg_cpu_ms"] / 1000)
    return Run(cpu_s, wall_s, peak_mib, own, files)


def size_and_length(file: Path) -> tuple[float, float]:
    """Returns the size of the video stream in bits, and its length in seconds."""
    entries = "stream=bit_rate,duration"
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", str(file)]
    stream = json.loads(subprocess.run(probe, capture_output=True, text=True, check=True).stdout)["streams"][0]
    seconds = float(stream["duration"])
    return float(stream["bit_rate"]) * seconds, seconds


def measured_vmaf(program: str, source: Source, file: Path) -> float:
    """Returns the mean VMAF of a rung that is scaled up to its source's size."""
    first = source.rungs[0]
    graph = (
        # Compare frame by frame, whatever timestamps the files have.
        f"[0:v]trim=end_frame={source.compared},scale={first.width}:{first.height}:flags=bicubic,settb=1/1000,setpts=N[made];"
        f"[1:v]trim=end_frame={source.compared},settb=1/1000,setpts=N[film];"
        f"[made][film]libvmaf=n_threads={os.cpu_count()}:log_fmt=json:log_path=vmaf.json"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "-hide_banner", "-v", "fatal", "-i", str(file), "-i", str(source.file)]
        subprocess.run([*command, "-filter_complex", graph, "-fps_mode", "passthrough", "-f", "null", "-"], check=True, cwd=folder)
        return json.loads((Path(folder) / "vmaf.json").read_text())["pooled_metrics"]["vmaf"]["mean"]


def section(name: str, source: Source, results: list[Result]) -> str:
    """Returns the tables and plots of one film."""
    whole = [one for one in results if one.part == 1] or results
    sizes = " / ".join(f"{rung.width}x{rung.height} at {rung.bits_per_second / 1e6:.2f} Mb/s" for rung in source.rungs)
    lines = [f"## {name}", "", sizes, "", "| way | CPU s | wall s | peak MiB | program / all but encoding | kb/s | VMAF |", "| --- | ---: | ---: | ---: | ---: | --- | --- |"]
    for one in whole:
        share = "" if one.own_share is None else " / ".join(f"{part:.1%}" for part in one.own_share)
        rates = " / ".join(f"{rate / 1000:.0f}" for rate in one.bits_per_second)
        vmaf = " / ".join(f"{value:.2f}" for value in one.vmaf)
        lines.append(f"| {one.way} | {one.cpu_s:.1f} | {one.wall_s:.1f} | {one.peak_mib:.0f} | {share} | {rates} | {vmaf} |")
    names = list(dict.fromkeys(one.way for one in results))
    base = next((way for way in names if way == "one command, medium"), names[0])
    if len({one.part for one in results}) > 1:
        told = f"Against `{base}`: bits for the same VMAF (BD-rate), CPU time of all runs, and CPU time for the same VMAF (likewise)."
        lines += ["", told, "", "| way | bits by rung | CPU | CPU for the same VMAF by rung |", "| --- | --- | ---: | --- |"]
        of = {way: [one for one in results if one.way == way] for way in names}
        cpu = {way: sum(one.cpu_s for one in of[way]) for way in names}
        for way in names:
            every = range(len(source.rungs))
            bits = [bd_rate_percent(points(of[base], rung), points(of[way], rung)) for rung in every]
            costs = [bd_rate_percent(costs_of(of[base], rung), costs_of(of[way], rung)) for rung in every]
            bits, costs = (" / ".join("–" if value is None else f"{value:+.1f} %" for value in values) for values in (bits, costs))
            lines.append(f"| {way} | {bits} | {cpu[way] / cpu[base]:.2f} | {costs} |")
        lines += ["", *plots(name, source, of)]
    return "\n".join([*lines, ""])


def summary(name: str, source: Source, results: list[Result]) -> dict | None:
    """Compares the default level with one command: CPU time relative to medium's, and bits for the same VMAF, mean of the rungs."""
    of: dict[str, list[Result]] = {}
    for one in results:
        of.setdefault(one.way, []).append(one)
    ours, medium = of.get(OURS), of.get("one command, medium")
    if not ours or not medium or len(ours) < 2:
        return None
    cpu = {way: sum(one.cpu_s for one in those) for way, those in of.items()}
    # The best preset by hand that takes no more CPU time, or the quickest if all take more.
    typed_ways = [f"one command, {preset}" for preset in PRESETS if f"one command, {preset}" in of]
    affordable = [way for way in typed_ways if cpu[way] <= cpu[OURS]] or [min(typed_ways, key=cpu.__getitem__)]
    against = {way: bd(of[way], ours, source) for way in {"one command, medium", *affordable}}
    best = max(affordable, key=lambda way: against[way] if against[way] is not None else -math.inf)
    rungs = [bd_rate_percent(points(medium, rung), points(ours, rung)) for rung in range(len(source.rungs))]
    return {
        "film": name, "cpu": cpu[OURS] / cpu["one command, medium"], "medium": against["one command, medium"],
        "worst": max((value for value in rungs if value is not None), default=None), "best": best, "against": against[best],
        "own": [statistics.median(one.own_share[part] for one in ours if one.own_share) for part in range(2)],
    }  # fmt: skip


def bd(base: list[Result], ours: list[Result], source: Source) -> float | None:
    """Returns the mean BD-rate of the rungs whose curves overlap."""
    rungs = [bd_rate_percent(points(base, rung), points(ours, rung)) for rung in range(len(source.rungs))]
    known = [value for value in rungs if value is not None]
    return statistics.mean(known) if known else None


def overall(summaries: list[dict]) -> str:
    """Returns the table over all films, with its means."""

    def told(value: float | None) -> str:
        return "–" if value is None else f"{value:+.1f} %"

    lines = [
        f"## {OURS} over all films", "",
        "Bits for the same VMAF (BD-rate): the mean of the rungs, and the rung that gains least. *Best* is the best preset of "
        "one command that takes no more CPU time. *Program* is the CPU time of abanico itself. *All but encoding* adds its probes "
        "and checks by ffprobe and ffmpeg, and starting them.", "",
        "| film | CPU / medium | bits / medium | worst rung | best | bits / best | program / all but encoding |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: |",
    ]  # fmt: skip
    for one in summaries:
        own = " / ".join(f"{part:.1%}" for part in one["own"])
        cells = (told(one["medium"]), told(one["worst"]), one["best"].rsplit(" ", 1)[1], told(one["against"]), own)
        lines.append(f"| {one['film']} | {one['cpu']:.2f} | " + " | ".join(cells) + " |")
    if summaries:
        mean = {name: statistics.mean(one[name] or 0 for one in summaries) for name in ("cpu", "medium", "against")}
        lines.append(f"| mean | {mean['cpu']:.2f} | {mean['medium']:+.1f} % | | | {mean['against']:+.1f} % | |")
    return "\n".join([*lines, ""])


def points(results: list[Result], rung: int) -> list[tuple[float, float]]:
    """Returns (bits per second, VMAF) of one rung for each result."""
    return [(one.bits_per_second[rung], one.vmaf[rung]) for one in results]


def costs_of(results: list[Result], rung: int) -> list[tuple[float, float]]:
    """Returns (CPU seconds of all rungs, VMAF) of one rung for each result."""
    return [(one.cpu_s, one.vmaf[rung]) for one in results]


def plots(name: str, source: Source, of: dict[str, list[Result]]) -> list[str]:
    """Writes a plot of each rung beside the report and returns the report's lines that show them."""
    REPORT.mkdir(exist_ok=True)
    lines = []
    for index, rung in enumerate(source.rungs):
        series = [Series(way, [(rate / 1000, vmaf) for rate, vmaf in sorted(points(results, index))]) for way, results in of.items()]
        file = REPORT / f"{Path(name).stem}_{rung.height}.svg"
        file.write_text(plot(f"{name}, {rung.width}x{rung.height}", "kb/s", "VMAF", series))
        lines.append(f"![{rung.height}]({file.name})")
    assert all(math.isfinite(value) for results in of.values() for one in results for value in one.vmaf)
    return lines


if __name__ == "__main__":
    sys.exit(main())
