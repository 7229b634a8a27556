"""Does encoding in chunks give the same film, and is nothing encoded twice?"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from harness import Server, binary, eventually
from outputs import AAC, output, run, settings, upload

# Shorter films have fewer than three chunks, so what is small is the picture and the frame rate.
SECONDS = 30
RATE = 15
FRAMES = SECONDS * RATE
GROUP = 2 * RATE
SMALL = 448
MEAN_BPS = 500_000


def film(file: Path, *options: str, rate: str = str(RATE), seconds: int = SECONDS, source: str = "testsrc2", width: int = 640) -> Path:
    """Makes a film whose frames all differ, with a key frame every 15 frames."""
    picture = ["-f", "lavfi", "-i", f"{source}=s={width}x{width * 9 // 16}:r={rate}:d={seconds}"]
    sound = ["-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "14", "-g", "15", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    command = ["ffmpeg", "-v", "error", "-y", *picture, *sound, *coding, *options, str(file)]
    subprocess.run(command, check=True, timeout=120)
    return file


def rung(name: str, width: int, rate: int = MEAN_BPS, **own: object) -> dict:
    """Returns one H.264 rung with a mean bit rate."""
    base = {"RateControlMode": "VBR", "Bitrate": rate, "MaxBitrate": rate * 3 // 2, "HrdBufferSize": rate * 2}
    codec = {"Codec": "H_264", "H264Settings": {**base, "GopSize": float(GROUP), **own}}
    picture = {"Width": width, "Height": width * 9 // 16}
    return output("MP4", codec, [AAC], NameModifier=f"_{name}", VideoDescription=picture)


def lowered(value: object) -> object:
    """Lowercases the first letter of every member's name, as in a job file."""
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:] if key[0].isupper() else key: lowered(one) for key, one in value.items()}
    return [lowered(one) for one in value] if isinstance(value, list) else value


def job_file(folder: Path, outputs: list[dict]) -> Path:
    """Writes the job to a file."""
    job = lowered(settings([{"FileInput": "s3://in/film"}], outputs, "s3://out/film"))
    job["inputs"][0]["audioSelectors"] = {"Audio Selector 1": {"defaultSelection": "DEFAULT"}}
    file = folder / "job.json"
    file.write_text(json.dumps({"settings": job}))
    return file


def transcode(source: Path, outputs: list[dict], out: Path, *options: str) -> dict:
    """Runs `abanico transcode` and returns the last line of its JSON output."""
    out.parent.mkdir(exist_ok=True, parents=True)
    command = [str(binary()), "transcode", str(source), "--job", str(job_file(out.parent, outputs)), "--out", str(out), "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def likeness(one: Path, other: Path, shift: int = 0) -> list[float]:
    """Returns the PSNR of each frame of `one` against the frame `shift` later in `other`, at the size of `one`."""
    size = json.loads(probe(one, "stream=width,height"))["streams"][0]
    graph = (
        f"[1:v]trim=start_frame={shift},settb=1/1000,setpts=N,scale={size['width']}:{size['height']}[b];"
        "[0:v]settb=1/1000,setpts=N[a];[a][b]psnr=stats_file=-:shortest=1"
    )
    command = ["ffmpeg", "-v", "fatal", "-i", str(one), "-i", str(other), "-filter_complex", graph, "-fps_mode", "passthrough"]
    lines = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True, timeout=120).stdout
    found = [line.split("psnr_avg:")[1].split()[0] for line in lines.splitlines() if "psnr_avg:" in line]
    return [99.0 if value == "inf" else float(value) for value in found]


def probe(file: Path, entries: str) -> str:
    """Returns what ffprobe reports about the video stream, as JSON text."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries", entries, "-of", "json"]
    return subprocess.run([*command, str(file)], capture_output=True, text=True, check=True, timeout=60).stdout


def inspected(file: Path, *options: str) -> tuple[int, dict]:
    """Runs `abanico inspect` on a file and returns its exit status and its report."""
    done = subprocess.run([str(binary()), "inspect", str(file), "--json", *options], capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def planned(source: Path, folder: Path, outputs: list[dict], *options: str) -> dict:
    """Returns the plan of a job."""
    command = [str(binary()), "plan", str(source), "--job", str(job_file(folder, outputs)), "--json", *options]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def chunks(plan: dict) -> list[str]:
    """Returns the ids of the chunks' tasks."""
    return [task["id"] for task in plan["tasks"] if task["id"].startswith("chunk-")]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film that most tests cut into chunks."""
    return film(tmp_path_factory.mktemp("chunks") / "film.mp4", width=SMALL)


def test_chunks_give_the_whole_film_frame_by_frame(source: Path, tmp_path: Path) -> None:
    outputs = [rung("a", SMALL), rung("b", 320, 200_000)]
    assert len(chunks(planned(source, tmp_path, outputs))) >= 3
    assert chunks(planned(source, tmp_path, outputs, "--chunks", "off")) == []
    transcode(source, outputs, tmp_path / "auto")
    transcode(source, outputs, tmp_path / "off", "--chunks", "off")
    for name in ("a", "b"):
        made, whole = tmp_path / "auto" / f"film_{name}.mp4", tmp_path / "off" / f"film_{name}.mp4"
        stream = json.loads(probe(made, "stream=nb_read_packets,start_time,duration"))["streams"][0]
        assert (stream["nb_read_packets"], float(stream["start_time"]), float(stream["duration"])) == (str(FRAMES), 0, SECONDS), stream
        own, late = likeness(made, source), likeness(made, source, 1)
        assert len(own) == FRAMES
        worse = [index for index, (right, wrong) in enumerate(zip(own, late, strict=False)) if right <= wrong]
        assert worse == [], "these frames look more like their neighbours"
        assert abs(made.stat().st_size / whole.stat().st_size - 1) < 0.02
        apart = likeness(whole, source)
        assert abs(sum(own) / FRAMES - sum(apart) / FRAMES) < 0.5


@pytest.mark.parametrize(("codec", "settings", "probed"), [("H_265", "H265Settings", "hevc"), ("AV1", "Av1Settings", "av1")])
def test_other_codecs_are_chunked_in_quality_mode(codec: str, settings: str, probed: str, source: Path, tmp_path: Path) -> None:
    """The frames, their pictures and the parameter sets are the same as without chunks."""
    own = {"RateControlMode": "QVBR", "MaxBitrate": 3_000_000, "QvbrSettings": {"QvbrQualityLevel": 7}, "GopSize": float(GROUP)}
    made = {}
    for name, options in {"chunks": (), "whole": ("--chunks", "off")}.items():
        wanted = rung(probed, SMALL)
        wanted["VideoDescription"]["CodecSettings"] = {"Codec": codec, settings: own}
        transcode(source, [wanted], tmp_path / name / "out", *options)
        made[name] = next((tmp_path / name / "out").glob("*.mp4"))
        frames = json.loads(probe(made[name], "stream=nb_read_packets,codec_name"))["streams"][0]
        assert (frames["codec_name"], frames["nb_read_packets"]) == (probed, str(FRAMES))
    keys = "packet=flags"
    found = {name: [packet["flags"][0] for packet in json.loads(probe(file, keys))["packets"]].count("K") for name, file in made.items()}
    assert found["chunks"] > found["whole"], "the film was not cut into chunks"
    alike = likeness(made["chunks"], source)
    assert len(alike) == FRAMES
    assert min(alike) > min(likeness(made["whole"], source)) - 2
    sizes = {name: file.stat().st_size for name, file in made.items()}
    assert abs(sizes["chunks"] / sizes["whole"] - 1) < 0.05, sizes


@pytest.mark.parametrize("mode", ["VBR", "CBR", "QVBR"])
def test_chunks_of_hard_scenes_respect_the_buffer(mode: str, tmp_path: Path) -> None:
    picture = ["-vf", "noise=alls=40:allf=t:enable='between(t,9,20)'"]
    source = film(tmp_path / "noisy.mp4", *picture)
    own = {"QVBR": {"Bitrate": None, "QvbrSettings": {"QvbrQualityLevel": 9}}, "CBR": {"MaxBitrate": None}}.get(mode, {})
    one = rung("a", 640, RateControlMode=mode, **own)
    codec = one["VideoDescription"]["CodecSettings"]["H264Settings"]
    one["VideoDescription"]["CodecSettings"]["H264Settings"] = {name: value for name, value in codec.items() if value is not None}
    assert len(chunks(planned(source, tmp_path, [one]))) >= 3
    transcode(source, [one], tmp_path / "out")
    ceiling = MEAN_BPS if mode == "CBR" else MEAN_BPS * 3 // 2
    buffer = ["--max-bit-rate", str(ceiling), "--buffer", str(MEAN_BPS * 2)]
    status, found = inspected(tmp_path / "out" / "noisy_a.mp4", *buffer)
    assert (status, found["buffer"]["missingFrames"]) == (0, 0), found["buffer"]
    if mode != "QVBR":
        assert found["video"]["bitRateBps"] == pytest.approx(MEAN_BPS, rel=0.06)


def told_of_buffers(source: Path, folder: Path, one: dict) -> list[str]:
    """Encodes a film to one rung and returns the log lines about chunks that empty the buffer."""
    command = [str(binary()), "transcode", str(source), "--job", str(job_file(folder, [one])), "--out", str(folder / "out")]
    environment = {**os.environ, "RUST_LOG": "abanico_tasks=info"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "a chunk empties the buffer" in line]


def test_chunk_that_empties_the_buffer_is_reencoded(tmp_path: Path) -> None:
    source = film(tmp_path / "noisy.mp4", "-vf", "noise=alls=60:allf=t:enable='between(t,9,20)'")
    one = rung("a", 640, RateControlMode="QVBR", MaxBitrate=600_000, HrdBufferSize=500_000, QvbrSettings={"QvbrQualityLevel": 9})
    del one["VideoDescription"]["CodecSettings"]["H264Settings"]["Bitrate"]
    assert told_of_buffers(source, tmp_path, one) != [], "no chunk empties the buffer, so nothing is tested here"
    status, found = inspected(tmp_path / "out" / "noisy_a.mp4", "--max-bit-rate", "600000", "--buffer", "500000")
    assert (status, found["buffer"]["missingFrames"]) == (0, 0), found["buffer"]


def test_av1_chunks_are_not_reencoded_for_the_buffer(tmp_path: Path) -> None:
    """SVT-AV1 does not know the buffer, so a second encode would empty it again."""
    source = film(tmp_path / "noisy.mp4", "-vf", "noise=alls=60:allf=t:enable='between(t,9,20)'")
    one = rung("a", 640)
    own = {"RateControlMode": "QVBR", "MaxBitrate": 100_000, "QvbrSettings": {"QvbrQualityLevel": 9}, "GopSize": float(GROUP)}
    one["VideoDescription"]["CodecSettings"] = {"Codec": "AV1", "Av1Settings": own}
    assert len(chunks(planned(source, tmp_path, [one]))) >= 3
    assert told_of_buffers(source, tmp_path, one) == []


def test_chunks_keep_fixed_gop_lengths(source: Path, tmp_path: Path) -> None:
    one = rung("a", SMALL, GopSize=25.0, SceneChangeDetect="DISABLED")
    assert len(chunks(planned(source, tmp_path, [one]))) >= 3
    transcode(source, [one], tmp_path / "out")
    _, found = inspected(tmp_path / "out" / "film_a.mp4")
    assert found["video"]["groups"] == {"count": 18, "shortestFrames": 25, "longestFrames": 25}


def odd_sources(folder: Path) -> dict[str, Path]:
    """Makes films whose frames do not match the output's ticks one to one."""
    varying = ["-vf", "select='not(between(mod(n,50),20,37))*not(between(t,9,12))'", "-fps_mode", "vfr"]
    fields = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-flags", "+ilme+ildct", "-x264-params", "tff=1"]
    return {
        "varying": film(folder / "varying.mp4", *varying, "-bf", "2", seconds=20, width=320),
        "fields": film(folder / "fields.mp4", *fields, rate="20", seconds=20, width=320),
        "twice": film(folder / "twice.mkv", rate="24", seconds=20, width=320),
        "ntsc": film(folder / "ntsc.mkv", "-bf", "3", rate="12000/1001", seconds=20, width=320),
    }


def test_odd_sources_keep_every_frame_in_place(tmp_path: Path) -> None:
    for name, file in odd_sources(tmp_path).items():
        own = {"FramerateControl": "SPECIFIED", "FramerateNumerator": 12, "FramerateDenominator": 1} if name == "twice" else {}
        one = rung("a", 320, 600_000, **own)
        assert len(chunks(planned(file, tmp_path, [one]))) >= 2, name
        transcode(file, [one], tmp_path / f"{name}-auto")
        transcode(file, [one], tmp_path / f"{name}-off", "--chunks", "off")
        made, whole = (tmp_path / f"{name}-{how}" / f"{name}_a.mp4" for how in ("auto", "off"))
        own, late = likeness(made, whole), likeness(made, whole, 1)
        assert len(own) == len(likeness(whole, whole)), name
        # A frame of a still scene looks as much like its neighbour, give or take what the encoder changes.
        worse = [index for index, (right, wrong) in enumerate(zip(own, late, strict=False)) if right < wrong - 3]
        assert worse == [], (name, worse)
        assert sum(late) / len(late) < sum(own) / len(own) - 3, "a shift by one frame would go unnoticed"


def entries(folder: Path) -> set[str]:
    """Returns the names of the stored results."""
    return {entry.name for entry in folder.iterdir() if not entry.name.endswith(".partial")}


def test_only_the_changed_rung_is_encoded_again(source: Path, tmp_path: Path) -> None:
    outputs, kept = [rung("a", SMALL), rung("b", 320, 200_000)], tmp_path / "kept"
    count = len(chunks(planned(source, tmp_path, outputs)))
    first = transcode(source, outputs, tmp_path / "one", "--results", str(kept))
    results = entries(kept)
    assert len(results) == 3 * count, "a first pass and two rungs for each chunk"
    again = transcode(source, outputs, tmp_path / "two", "--results", str(kept))
    assert entries(kept) == results
    # Audio, joints, packaging and verifying run again.
    assert again["ffmpeg_cpu_ms"] < first["ffmpeg_cpu_ms"] / 2, (first, again)
    for name in ("a", "b"):
        assert (tmp_path / "one" / f"film_{name}.mp4").read_bytes() == (tmp_path / "two" / f"film_{name}.mp4").read_bytes()
    other = [rung("a", SMALL), rung("b", 320, 250_000)]
    transcode(source, other, tmp_path / "three", "--results", str(kept))
    assert len(entries(kept) - results) == count, "one rung for each chunk"
    small = film(tmp_path / "other.mp4", source="testsrc", width=SMALL)
    transcode(small, outputs, tmp_path / "four", "--results", str(kept))
    assert len(entries(kept)) == 3 * count + count + 3 * len(chunks(planned(small, tmp_path, outputs)))


def test_killed_run_resumes_from_its_finished_chunks(source: Path, tmp_path: Path) -> None:
    outputs, kept, out = [rung("a", SMALL, QualityTuningLevel="MULTI_PASS_HQ")], tmp_path / "kept", tmp_path / "out"
    kept.mkdir()
    count = len(chunks(planned(source, tmp_path, outputs)))
    job = job_file(tmp_path, outputs)
    command = [str(binary()), "transcode", str(source), "--job", str(job), "--out", str(out), "--results", str(kept)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        eventually(lambda: len(entries(kept)) > count, 120, "a chunk is encoded")
        running.send_signal(signal.SIGKILL)
    before = {name: (kept / name / "files" / "video.mp4").stat().st_ino for name in entries(kept) if (kept / name / "files" / "video.mp4").exists()}
    time.sleep(0.5)
    done = transcode(source, outputs, out, "--results", str(kept))
    after = {name: (kept / name / "files" / "video.mp4").stat().st_ino for name in entries(kept) if (kept / name / "files" / "video.mp4").exists()}
    assert before.items() <= after.items() and len(after) == count and len(entries(kept)) == 2 * count
    assert done["type"] == "done" and likeness(out / "film_a.mp4", source)


def test_server_reuses_chunks_for_hls(server: Server, source: Path) -> None:
    if "masters" not in buckets(server):
        server.s3.create_bucket(Bucket="masters")
    selectors = {"Audio Selector 1": {"DefaultSelection": "DEFAULT"}}
    inputs = [{"FileInput": upload(server, source, "chunked.mp4"), "AudioSelectors": selectors}]
    hls = settings(inputs, [rung("a", SMALL)], "s3://renditions/chunked/x")
    group = hls["OutputGroups"][0]
    group["OutputGroupSettings"] = {
        "Type": "HLS_GROUP_SETTINGS",
        "HlsGroupSettings": {"Destination": "s3://renditions/chunked/x", "SegmentLength": 4, "MinSegmentLength": 0},
    }
    group["Outputs"][0]["ContainerSettings"] = {"Container": "M3U8"}
    run(server, hls)
    segments = [key for key in server.keys(prefix="chunked/") if key.endswith(".ts")]
    assert len(segments) == 8, segments
    seen = server.log().count("made before")
    run(server, hls)
    assert server.log().count("made before") - seen >= 6, "the second job must reuse first passes and chunks"


def buckets(server: Server) -> list[str]:
    """Returns the names of all buckets."""
    return [bucket["Name"] for bucket in server.s3.list_buckets()["Buckets"]]
