"""Do the metrics say what happened, and do the documents and the dashboard name those that there are?"""

from __future__ import annotations

import json
import re
import urllib.request

import pytest
from clips import Clip, Clips
from harness import WORKSPACE, Server

CLIP = Clip(width=320, height=180, frames=25)
SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (-?[\d.]+)$')
NAME = re.compile(r"\b((?:abanico|process)_[a-z0-9_]+)\b")


class Metrics:
    """What `/metrics` answered."""

    def __init__(self, text: str) -> None:
        """Parses the answer; a line that is no sample fails."""
        self.kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
        self.samples: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.match(line).groups()
                self.samples.append((name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")), float(value)))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels."""
        return sum(value for other, given, value in self.samples if other == name and labels.items() <= given.items())

    def labels(self, name: str) -> set[str]:
        """The labels of a metric."""
        return {label for other, given, _ in self.samples if base(other, self.kinds) == name for label in given}


def base(name: str, kinds: dict[str, str]) -> str:
    """The metric that a sample belongs to."""
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if kinds.get(short) == "histogram" else name


def scrape(server: Server) -> Metrics:
    """Fetches the metrics."""
    with urllib.request.urlopen(server.endpoint + "/metrics", timeout=30) as answer:
        return Metrics(answer.read().decode())


@pytest.fixture(scope="module")
def metrics(server: Server, clips: Clips) -> Metrics:
    """The metrics of a server that did two equal jobs, and one that failed."""
    file = str(clips.file(CLIP))
    for key in ("a.mp4", "b.mp4"):
        server.s3.upload_file(file, "uploads", key)
        assert server.wait_job(key)["Status"] == "COMPLETE"
    server.s3.put_object(Bucket="uploads", Key="bad.mp4", Body=b"no film")
    assert server.wait_job("bad.mp4")["Status"] == "ERROR"
    return scrape(server)


def test_metrics_tell_what_happened(metrics: Metrics) -> None:
    value = metrics.value
    assert (value("abanico_jobs", stage="complete"), value("abanico_jobs_submitted_total")) == (2, 3)
    assert value("abanico_queue_wait_seconds_count") == 3
    assert value("abanico_job_duration_seconds_count", result="complete") == 2
    assert value("abanico_job_duration_seconds_count", result="error") == 1
    assert value("abanico_job_duration_seconds_sum", result="complete") > 0
    assert value("abanico_step_failures_total", step="prepare", code="1010") == 1
    assert value("abanico_kept_encode_hits_total") > 0 and value("abanico_kept_encode_misses_total") > 0
    assert value("abanico_kept_encodes_bytes") > 0
    assert value("abanico_encoder_permits") >= 1 and value("abanico_encoder_permits_in_use") == 0
    assert value("abanico_bucket_objects", bucket="uploads") == 3
    assert 0 < value("abanico_disk_free_bytes") < value("abanico_disk_size_bytes")
    assert value("abanico_disk_needed_bytes") == 0, "nothing runs or waits"
    puts = {"service": "s3", "operation": "write", "class": "2xx"}
    assert value("abanico_http_request_duration_seconds_count", **puts) >= 3
    assert value("abanico_http_request_duration_seconds_count", service="mediaconvert", operation="list") > 0
    assert value("process_resident_memory_bytes") > 1_000_000 and value("process_open_fds") > 5
    assert value("process_cpu_seconds_total") > 0 and value("process_start_time_seconds") > 1_600_000_000


def test_names_follow_prometheus(metrics: Metrics) -> None:
    for name, kind in metrics.kinds.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|kb|mb|gb|mib|percent|minutes)$", name), name
        if kind == "histogram":
            assert name.endswith("_seconds"), name
    for name, _, _ in metrics.samples:
        assert base(name, metrics.kinds) in metrics.kinds, f"{name} has no type"


def test_histograms_add_up(metrics: Metrics) -> None:
    series: dict[tuple, list[tuple[float, float]]] = {}
    for name, labels, value in metrics.samples:
        if name.endswith("_bucket"):
            bound = float(labels.pop("le").replace("+Inf", "inf"))
            series.setdefault((name.removesuffix("_bucket"), *sorted(labels.items())), []).append((bound, value))
    assert len(series) > 5
    for (name, *labels), counts in series.items():
        bounds, values = zip(*counts, strict=True)
        assert list(bounds) == sorted(bounds) and list(values) == sorted(values), (name, labels)
        assert values[-1] == metrics.value(f"{name}_count", **dict(labels))


def documented() -> dict[str, set[str]]:
    """Metrics of the table in the documents, with their labels."""
    text = (WORKSPACE / "docs" / "LOGGING.md").read_text()
    table = re.search(r"<!-- output: table metrics -->\n(.*?)<!-- /output -->", text, re.DOTALL)[1]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    return {re.search(r"`(\w+)`", row[0])[1]: set(re.findall(r"`(\w+)`", row[2])) for row in rows}


def test_documents_have_exactly_the_metrics_that_there_are(metrics: Metrics) -> None:
    assert set(documented()) == set(metrics.kinds)
    for name, labels in documented().items():
        assert metrics.labels(name) - {"le"} <= labels, name


def test_dashboard_shows_only_what_there_is(metrics: Metrics) -> None:
    dashboard = json.loads((WORKSPACE / "deploy" / "grafana-dashboard.json").read_text())
    panels, known = dashboard["panels"], documented()
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    expressions += [variable["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    shown = set()
    for expression in expressions:
        names = {base(name, metrics.kinds) for name in NAME.findall(expression)}
        assert names and names <= set(metrics.kinds), expression
        shown |= names
        # `instance` and `job` are the scraper's.
        labels = set(re.findall(r"(\w+)=~?\"", expression)) - {"instance", "job"}
        labels |= {label for group in re.findall(r"by \(([\w, ]+)\)", expression) for label in group.split(", ")} - {"le"}
        for name in names:
            assert labels <= known[name], expression
        for chosen in re.findall(r'stage=~?"([\w|]+)"', expression):
            assert set(chosen.split("|")) <= {given.get("stage") for _, given, _ in metrics.samples}
    assert len(shown) > 20
    assert len({panel["id"] for panel in panels}) == len(panels)
