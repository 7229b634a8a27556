"""Are the benchmarks' own calculations right? Tests curves with known answers, plots, tables and the simulation."""

from __future__ import annotations

import re
import sys
import tomllib
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import scaling  # noqa: E402
from chunks_by_hand import LONGEST_S, SHORTEST_S, chunk_starts  # noqa: E402
from encode_speed import PRICES, speed_table, with_speed  # noqa: E402
from harness import measured_server  # noqa: E402
from plot import Series, plot, ticks  # noqa: E402
from rate_curves import bd_rate_percent, monotone_cubic  # noqa: E402

def test_servers_are_measured_with_their_own_log_levels(tmp_path: Path) -> None:
    server = measured_server(tmp_path)
    try:
        server.start()
        # A request for a service that is not there is told at level debug.
        with pytest.raises(ClientError):
            server.client("sqs").list_queues()
        assert not re.search(r" (DEBUG|TRACE) ", server.log()), server.log()
    finally:
        server.end()
    for file in sorted((Path(__file__).resolve().parents[2] / "bench").glob("*.py")):
        assert "Server(" not in file.read_text().replace("ThreadingHTTPServer(", ""), f"{file.name} uses `measured_server`"


CURVE = [(500_000.0, 60.0), (1_000_000.0, 75.0), (2_000_000.0, 86.0), (4_000_000.0, 93.0)]


def test_curve_equals_itself() -> None:
    assert bd_rate_percent(CURVE, CURVE) == pytest.approx(0)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.25])
def test_known_bit_savings_are_measured(factor: float) -> None:
    cheaper = [(rate * factor, quality) for rate, quality in CURVE]
    assert bd_rate_percent(CURVE, cheaper) == pytest.approx((factor - 1) * 100, abs=0.01)
    assert bd_rate_percent(cheaper, CURVE) == pytest.approx((1 / factor - 1) * 100, abs=0.01)


def test_curves_without_common_quality_give_none() -> None:
    assert bd_rate_percent(CURVE, [(1.0, 10.0), (2.0, 20.0)]) is None
    assert bd_rate_percent(CURVE, CURVE[:1]) is None


def test_curve_passes_its_points_and_stays_monotone() -> None:
    points = [(0.0, 0.0), (1.0, 0.1), (2.0, 5.0), (3.0, 5.1)]
    value = monotone_cubic(points)
    assert [value(x) for x, _ in points] == pytest.approx([y for _, y in points])
    walked = [value(step / 50) for step in range(151)]
    assert all(later >= earlier - 1e-9 for earlier, later in zip(walked, walked[1:], strict=False))


def test_plot_is_xml_with_every_series() -> None:
    text = plot("a < b & c", "kb/s", "VMAF", [Series("one", [(1, 2), (3, 4)]), Series("two & more", [(1, 3)])])
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"a < b & c", "one", "two & more", "kb/s", "VMAF"} <= set(words)
    assert sum(element.tag.endswith("circle") for element in root.iter()) == 3
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]


def test_speed_table_replaces_only_the_old_one() -> None:
    one, second = {"very_fast": 11.62, "fast": 20.0, "medium": 30.25}, {"fast": 18.0, "medium": 27.0}
    table = speed_table("a machine, a day", 2.5, 9.96, one, second)
    before = PRICES.read_text()
    after = with_speed(before, table)
    old, new = tomllib.loads(before), tomllib.loads(after)
    assert new["speed"] == {
        "source": "a machine, a day",
        "decode_cpu_seconds_per_gigapixel": "2.5",
        "encode_cpu_seconds_per_gigapixel": {"very_fast": "11.6", "fast": "20.0", "medium": "30.2"},
        "first_pass_cpu_seconds_per_gigapixel": "10.0",
        "second_pass_cpu_seconds_per_gigapixel": {"fast": "18.0", "medium": "27.0"},
    }
    assert {**old, "speed": None} == {**new, "speed": None}
    assert after.startswith(before[: before.index("[speed]")])
    elsewhere = "a = 1\n[speed]\nold = 1\n\n[last]\nb = 2\n"
    assert with_speed(elsewhere, "[speed]\n") == "a = 1\n[speed]\n\n[last]\nb = 2\n"
    with pytest.raises(SystemExit):
        with_speed("a = 1\n", table)


def simulated_tasks(count: int, frames: int) -> list[dict]:
    """Returns first passes and chunks as they are in a plan."""
    branches = {"branches": [{"frames": frames}]}
    first = [{"id": f"analysis-{n:04}", "after": [], "kind": {"analyse_video": branches}} for n in range(count)]
    after = [task["id"] for task in first]
    return first + [{"id": f"chunk-{n:04}", "after": after, "kind": {"encode_video": branches}} for n in range(count)]


def test_simulation_respects_encoders_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SLOW", 0)
    monkeypatch.setattr(scaling, "FAILING", 0)
    costs = scaling.Costs([0.01], [0.05], 0, 0)
    tasks = simulated_tasks(4, 100)
    ended = [scaling.run(tasks, costs, encoders, reissue=False)[0] for encoders in (1, 2, 3, 4, 100)]
    # First passes of 1 s, then encodes of 5 s; three encoders need two rounds of each.
    assert ended == pytest.approx([24, 12, 12, 6, 6])


def test_second_starts_make_slow_tasks_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SLOW", 0.2)
    monkeypatch.setattr(scaling, "SLOWER", 10)
    costs = scaling.Costs([0.01], [0.05], 0, 0)
    tasks = simulated_tasks(50, 100)
    once, work = scaling.run(tasks, costs, 100, reissue=False)
    twice, same_work = scaling.run(tasks, costs, 100, reissue=True)
    assert work == same_work == pytest.approx(50 * 6)
    assert twice < once / 2


def test_hand_made_chunks_respect_their_limits() -> None:
    rate = Fraction(24)
    starts = chunk_starts([5, 100, 110, 700, 715], rate, 720)
    assert starts == [0, 100, 340, 580], "the other scenes are too close to a chunk's start or to the end of the film"
    lengths = [end - begin for begin, end in zip(starts, [*starts[1:], 720], strict=True)]
    assert SHORTEST_S * rate <= min(lengths) and max(lengths) <= LONGEST_S * rate
    assert chunk_starts([], rate, 20) == [0]
