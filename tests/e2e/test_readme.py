"""Is the README short, does it show real figures, and does README.es.md say the same? Commands are tested in
`test_readme_doors.py`, links and names in `test_docs.py`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import WORKSPACE

DEMO_PICTURE = WORKSPACE / "scripts" / "demo_picture"
ENGLISH = (WORKSPACE / "README.md").read_text()
SPANISH = (WORKSPACE / "README.es.md").read_text()
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Lines that a terminal or a page shows at once.
SCREEN = 30


# ---- the English one


def test_readme_fits_on_a_few_screens() -> None:
    lines = ENGLISH.splitlines()
    assert len(lines) < 120
    assert lines.index("make demo") < SCREEN, "the first command must be on the first screen"
    assert "`make test`" in ENGLISH
    assert [line for line in lines if len(line) > 132 and not line.startswith(("|", "!["))] == []
    doors = ENGLISH.split("## Three ways in")[1].split("## Why")[0]
    assert max(len(line) for block in BLOCK.findall(doors) for line in block.splitlines()) <= 80


def test_figures_beside_ffmpeg_are_in_performance_page() -> None:
    (row,) = [line for line in ENGLISH.splitlines() if line.startswith("| ffmpeg")]
    page = (WORKSPACE / "docs" / "PERFORMANCE.md").read_text()
    cpu, least, most = re.findall(r"\d+\.\d+", row)
    assert f"**CPU** is {cpu} of" in page
    table = page.split("\n## Side by side\n")[1].split("\n## ")[0]
    assert f"−{least} " in table and f"−{most} " in table


def test_price_is_the_one_in_the_cost_page() -> None:
    (row,) = [line for line in ENGLISH.splitlines() if line.startswith("| MediaConvert's price")]
    there, own = re.findall(r"([\d.]+) USD", row)
    page = (WORKSPACE / "docs" / "COST.md").read_text()
    assert f"{there} USD" in page
    (exact,) = re.findall(r"^.*\bown\b.*? USD +([\d.]+) USD", page, re.MULTILINE)
    assert f"{float(exact):.2f}" == own


# ---- the Spanish one


def commands(text: str) -> list[str]:
    """Lines of all code blocks, without the comments after commands."""
    return [re.sub(r"\s{2,}# .*$", "", line) for block in BLOCK.findall(text) for line in block.splitlines()]


def headings(text: str) -> list[int]:
    """Levels of the headings, in order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", BLOCK.sub("", text), re.MULTILINE)]


def figures(text: str, decimal: str = ".") -> list[str]:
    """Numbers of the prose and tables, in order, written the English way and without marks between thousands."""
    prose = re.sub(r"\]\([^)]*\)|`[^`]*`|<!--.*?-->", " ", BLOCK.sub("", text), flags=re.DOTALL)
    thousands = "," if decimal == "." else "."
    numbers = re.findall(r"(?<![\w.,-])\d[\d.,]*(?:-\d+)*", prose)
    plain = [re.sub(rf"\{thousands}(?=\d{{3}}\b)", "", number.rstrip(".,")) for number in numbers]
    return [number.replace(decimal, ".") for number in plain]


def differences(english: str, spanish: str) -> list[str]:
    """The differences between two versions of the README."""
    pairs = {
        "headings": (headings(english), headings(spanish)),
        "commands": (commands(english), commands(spanish)),
        "figures": (sorted(figures(english)), sorted(figures(spanish, ","))),
        "links": (sorted(links(english)), sorted(links(spanish))),
    }
    return [f"{name}: {left} and {right}" for name, (left, right) in pairs.items() if left != right]


def links(text: str) -> list[str]:
    """Targets of links, without the picture and the other language."""
    return [link for link in re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", text) if not link.startswith("README")]


def test_spanish_readme_says_the_same() -> None:
    assert differences(ENGLISH, SPANISH) == []
    assert len(figures(ENGLISH)) > 10 and len(commands(ENGLISH)) > 15


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Por qué\n", ""),
        ("abanico plan film.mp4", "abanico probe film.mp4"),
        ("entre un 9,7", "entre un 9,8"),
        ("(docs/COST.md)", "(docs/AWS.md)"),
    ],
    ids=["heading", "command", "figure", "link"],
)
def test_comparison_finds_planted_faults(old: str, new: str) -> None:
    assert old in SPANISH
    assert len(differences(ENGLISH, SPANISH.replace(old, new, 1))) >= 1


# ---- the demo's picture and output


def check(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the script that draws the picture on another folder."""
    command = [str(DEMO_PICTURE), "--root", str(root), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the script writes."""
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "README.es.md", "docs/demo.json", "docs/demo.svg", "docs/demo.es.svg"):
        shutil.copy(WORKSPACE / name, tmp_path / name)
    return tmp_path


def test_picture_and_output_follow_from_stored_figures(copy: Path) -> None:
    ran = check(copy, "--check")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", ["README.md", "README.es.md", "docs/demo.svg", "docs/demo.es.svg"])
def test_changed_figure_is_found_and_drawn_again(copy: Path, name: str) -> None:
    size = json.loads((copy / "docs" / "demo.json").read_text())["renditions"][0]["size"].split()[0]
    shown = size.replace(".", ",") if name.endswith("es.svg") else size
    text = (copy / name).read_text()
    assert shown in text
    (copy / name).write_text(text.replace(shown, "7.7"))
    ran = check(copy, "--check")
    assert ran.returncode == 1 and f"{name} does not follow from docs/demo.json" in ran.stdout
    assert check(copy, "--draw").returncode == 0
    assert (copy / name).read_text() == text


def test_stored_figures_must_agree_with_stored_output(copy: Path) -> None:
    file = copy / "docs" / "demo.json"
    demo = json.loads(file.read_text())
    demo["renditions"][0]["kbps"] += 1
    file.write_text(json.dumps(demo))
    ran = check(copy, "--check")
    assert ran.returncode == 2 and "figures differ from the stored output" in ran.stderr


def test_picture_loads_nothing_and_runs_nothing() -> None:
    for name in ("demo.svg", "demo.es.svg"):
        text = (WORKSPACE / "docs" / name).read_text()
        assert not re.search(r"<script|href|url\(|@import|@font-face|\bon\w+=", text)
