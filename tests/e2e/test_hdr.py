"""Does an HDR film keep its metadata in HDR outputs, and lose it in SDR outputs?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from harness import Server
from media_facts import decode_complaints
from outputs import h264, output, run, settings, upload

SCREEN = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


def first_frame(file: Path) -> dict:
    """Returns ffprobe's report about the first frame."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-read_intervals", "%+#1", "-show_frames", "-of", "json", str(file)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)["frames"][0]


def side_data(file: Path) -> dict[str, dict]:
    """Returns the first frame's side data by type."""
    return {one["side_data_type"]: one for one in first_frame(file).get("side_data_list", [])}


@pytest.fixture(scope="module")
def source(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a short HDR10 film with mastering display and content light level metadata."""
    server.s3.create_bucket(Bucket="masters")
    file = tmp_path_factory.mktemp("hdr") / "hdr10.mp4"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=1"]
    command += ["-vf", "format=yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"]
    command += ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    command += ["-x265-params", f"log-level=error:repeat-headers=1:master-display={SCREEN}:max-cll=1000,400", str(file)]
    subprocess.run(command, check=True, timeout=60)
    assert side_data(file)["Content light level metadata"]["max_content"] == 1000
    return upload(server, file, "hdr/hdr10.mp4")


def h265_main10() -> dict:
    """Returns codec settings for 10-bit H.265."""
    own = {"RateControlMode": "QVBR", "MaxBitrate": 1_000_000, "CodecProfile": "MAIN10_MAIN", "QualityTuningLevel": "SINGLE_PASS"}
    return {"Codec": "H_265", "H265Settings": own}


def av1_main10() -> dict:
    """Returns codec settings for 10-bit AV1."""
    own = {"RateControlMode": "QVBR", "MaxBitrate": 1_000_000, "GopSize": 25, "BitDepth": "BIT_10"}
    return {"Codec": "AV1", "Av1Settings": own}


@pytest.mark.parametrize("codec", [h265_main10, av1_main10])
def test_hdr_metadata_is_kept_in_ten_bits(server: Server, source: str, tmp_path: Path, codec: object) -> None:
    name = codec.__name__
    outputs = [output("MP4", codec(), NameModifier="_ten"), output("MP4", h264(), NameModifier="_eight")]
    run(server, settings([{"FileInput": source}], outputs, f"s3://renditions/hdr/{name}"))
    ten = server.download(f"hdr/{name}_ten.mp4", tmp_path / "ten.mp4")
    frame, told = first_frame(ten), side_data(ten)
    assert (frame["color_primaries"], frame["color_transfer"], frame["color_space"]) == ("bt2020", "smpte2084", "bt2020nc")
    light = told["Content light level metadata"]
    assert (light["max_content"], light["max_average"]) == (1000, 400)
    screen = told["Mastering display metadata"]

    def number(member: str) -> float:
        above, below = screen[member].split("/")
        return int(above) / int(below)

    assert abs(number("red_x") - 0.68) < 1e-4 and abs(number("green_y") - 0.69) < 1e-4 and abs(number("blue_x") - 0.15) < 1e-4
    assert abs(number("white_point_y") - 0.329) < 1e-4
    assert abs(number("max_luminance") - 1000) < 0.01 and abs(number("min_luminance") - 0.005) < 1e-4
    eight = server.download(f"hdr/{name}_eight.mp4", tmp_path / "eight.mp4")
    assert "Mastering display metadata" not in side_data(eight)
    assert first_frame(eight).get("color_transfer") == "bt709"
    assert decode_complaints(ten) == "" and decode_complaints(eight) == ""
