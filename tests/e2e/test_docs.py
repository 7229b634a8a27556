"""Are the documents true? Checks what the Markdown files say against the code, the program and the repository.

`scripts/update_docs` writes the parts that come from commands and code; the first test runs its check. The others compare
names in the text (links, files, make targets, commands, options, variables, tables) with what exists. Each check returns
its findings as lines, so that the last tests can show that it finds planted faults.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from harness import WORKSPACE, binary

UPDATE_DOCS = WORKSPACE / "scripts" / "update_docs"
CRATES = WORKSPACE / "crates"


def _load_script() -> object:
    loader = importlib.machinery.SourceFileLoader("update_docs", str(UPDATE_DOCS))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("update_docs", loader))
    was, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = was
    return module


update_docs = _load_script()
PAGES = {str(file.relative_to(WORKSPACE)): file.read_text() for file in update_docs.markdown_files()}


def page(name: str) -> str:
    """The text of a page in `docs`."""
    return PAGES[f"docs/{name}.md"]


def findings(check: object) -> list[str]:
    """Returns the findings of a check in all pages."""
    return [f"{name}: {finding}" for name, text in PAGES.items() for finding in check(name, text)]


# ---- what a page names


def without_blocks(text: str) -> str:
    """The text without fenced blocks."""
    return re.sub(r"^\s*```.*?^\s*```", "", text, flags=re.DOTALL | re.MULTILINE)


def code(text: str) -> list[str]:
    """Code spans, and the commands of fenced blocks. Commands joined by `&&` are separated."""
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", without_blocks(text))
    for block in re.findall(r"^\s*```\w*\n(.*?)^\s*```", text, re.DOTALL | re.MULTILINE):
        lines = block.splitlines()
        is_session = any(line.startswith("$ ") for line in lines)
        spans += [line.removeprefix("$ ") for line in lines if line.startswith("$ ") or not is_session]
    return [part.strip() for span in spans for part in span.split("&&") if part.strip()]


def section(text: str, heading: str) -> str:
    """The part of a page below a heading, to the next heading of the same level or above."""
    level = len(re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)[1])
    after = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    return re.split(rf"^#{{1,{level}}} ", after, flags=re.MULTILINE)[0]


def cells(text: str, column: int) -> list[str]:
    """A column of the tables in a text, without the head."""
    rows = [line.strip().strip("|").split(" | ") for line in text.splitlines() if re.match(r"\s*\| ", line)]
    bodies = [row for row in rows if not set("".join(row)) <= set("-: |")]
    return [row[column].strip() for row in bodies[1:] if len(row) > column]


def in_code(text: str) -> set[str]:
    """Code spans of a text."""
    return set(re.findall(r"`([^`]+)`", text))


# ---- checks


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    slugs: list[str] = []
    for heading in headings:
        plain = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        slugs.append(f"{slug}-{slugs.count(slug)}" if slug in slugs else slug)
    return set(slugs)


def broken_links(name: str, text: str) -> list[str]:
    """Relative links whose file or anchor does not exist."""
    found = []
    prose = re.sub(r"`[^`\n]+`", "", without_blocks(text))
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (WORKSPACE / name).parent / path if path else WORKSPACE / name
        if path and not target.exists():
            found.append(f"the link `{link}` leads nowhere")
        elif anchor and anchor not in anchors(text if not path else target.read_text()):
            found.append(f"the link `{link}` names a heading that does not exist")
    return found


@functools.cache
def make_targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z0-9_-]+):", (WORKSPACE / "Makefile").read_text(), re.MULTILINE))


def unknown_targets(_: str, text: str) -> list[str]:
    """`make TARGET` with a target that the Makefile does not have."""
    named = {words[1] for words in map(str.split, code(text)) if words[0] == "make" and len(words) > 1}
    return [f"`make {target}` is not in the Makefile" for target in sorted(named - make_targets()) if "=" not in target]


@functools.cache
def help_text(*words: str) -> str | None:
    """The help of a command of the program; none if there is no such command."""
    command = [str(binary()), *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout if done.returncode == 0 else None


@functools.cache
def subcommands(*words: str) -> tuple[str, ...]:
    """Subcommands that a help lists."""
    part = re.search(r"^Commands:\n((?:  .*\n|\n)+)", help_text(*words) or "", re.MULTILINE)
    return tuple(re.findall(r"^  (\S+)", part[1], re.MULTILINE)) if part else ()


@functools.cache
def options(*words: str) -> frozenset[str]:
    """Long options that a help lists."""
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_text(*words) or ""))


@functools.cache
def every_option() -> frozenset[str]:
    """Long options of all commands, and of the scripts that the documents name."""
    found = set(options())
    for command in subcommands():
        found |= options(command)
        for below in subcommands(command):
            found |= options(command, below)
    for folder in ("bench", "scripts"):
        for file in (WORKSPACE / folder).iterdir():
            if file.is_file():
                found |= set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', file.read_text()))
    return frozenset(found)


def wrong_commands(_: str, text: str) -> list[str]:
    """`abanico ...` with a command or an option that the program does not have."""
    found = []
    for span in code(text):
        words = span.split()
        if words[0] != "abanico":
            if re.fullmatch(r"--[a-z][a-z-]*", words[0]) and words[0] not in every_option():
                found.append(f"no command has the option `{words[0]}`")
            continue
        chains: list[tuple[str, ...]] = [()]
        for word in words[1:]:
            if not re.fullmatch(r"[a-z0-9|-]+", word) or word.startswith("-") or not subcommands(*chains[0]):
                break
            known = subcommands(*chains[0])
            found += [f"`{span}`: there is no command `{one}`" for one in word.split("|") if one not in known]
            chains = [(*chains[0], one) for one in word.split("|") if one in known] or [()]
        # The words after `--` are the command of somebody else.
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", span.partition(" -- ")[0]):
            if not any(option in options(*chain) or option == "--help" for chain in chains):
                found.append(f"`{span}`: there is no option `{option}`")
    return found


@functools.cache
def variables() -> frozenset[str]:
    """Variables that begin with ABANICO_ and that the code, the tests or the scripts name."""
    found: set[str] = set()
    endings = ("", ".rs", ".py", ".yaml", ".yml", ".cjs")
    for folder in ("crates", "tests", "scripts", "bench", "deploy"):
        for file in (WORKSPACE / folder).rglob("*"):
            if file.is_file() and file.suffix in endings and file.name != Path(__file__).name:
                found |= set(re.findall(r"ABANICO_[A-Z_]+[A-Z]", file.read_text(errors="ignore")))
    # The names of ffmpeg's and ffprobe's variables are made from the programs' names.
    tools = (CRATES / "ffmpeg" / "src" / "tools.rs").read_text()
    return frozenset(found | set(re.findall(r"ABANICO_\w+", tools)))


def unknown_variables(_: str, text: str) -> list[str]:
    """Variables that begin with ABANICO_ and that nothing reads."""
    named = set(re.findall(r"ABANICO_[A-Z_]+[A-Z]", text))
    return [f"nothing reads the variable `{name}`" for name in sorted(named - variables())]


# Files that users have or that abanico writes, and so are not in the repository.
USERS_FILES = {"abanico.toml", "credentials.json", "manifest.json", "jobs/own.json", "scaling.md"}
ENDINGS = r"\.(?:rs|py|toml|json|ya?ml|md|txt|cjs)"


@functools.cache
def repository() -> frozenset[str]:
    """Files of the repository, each with every tail of its path, so that `plan/src/cutting/chunks.rs` is found too."""
    tails: set[str] = set()
    for file in WORKSPACE.rglob("*"):
        parts = file.relative_to(WORKSPACE).parts
        if not {"target", "node_modules", ".git", ".venv"} & set(parts) and file.is_file():
            tails |= {"/".join(parts[start:]) for start in range(len(parts))}
            # Pages about a crate leave `src` out.
            if "src" in parts:
                tails.add("/".join(parts[parts.index("src") + 1 :]))
    return frozenset(tails)


def missing_files(_: str, text: str) -> list[str]:
    """Files of code and data that a page names and the repository does not have."""
    named = {span for span in code(text) if re.fullmatch(rf"[\w./-]+{ENDINGS}", span)}
    return [f"there is no file `{name}`" for name in sorted(named - repository() - USERS_FILES)]


def private_paths(_: str, text: str) -> list[str]:
    """Paths that exist on one machine only."""
    paths = re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S*", text)
    return [f"the path `{path}` exists on one machine only" for path in paths]


@pytest.mark.parametrize(
    "check",
    [broken_links, unknown_targets, wrong_commands, unknown_variables, missing_files, private_paths],
    ids=lambda check: check.__name__,
)
def test_pages_name_only_what_exists(check: object) -> None:
    assert findings(check) == []


# ---- parts that are written


def test_written_parts_are_current() -> None:
    done = subprocess.run(
        [str(UPDATE_DOCS), "--check"],
        env=dict(update_docs.environment(), ABANICO_BIN=str(binary().absolute())),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_stale_part_is_named_and_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("# A\n\n<!-- output: table demuxers -->\n`mov`\n<!-- /output -->\nThe end.\n")
    command = [str(UPDATE_DOCS), "--root", str(tmp_path)]
    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, timeout=60, check=False)
    assert stale.returncode == 1
    assert "page.md:3: the output of `table demuxers` is stale: run `scripts/update_docs`" in stale.stdout
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert "`matroska`" in file.read_text() and file.read_text().endswith("The end.\n")
    assert subprocess.run([*command, "--check"], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        "<!-- output: ls / -->\n<!-- /output -->\n",
        "<!-- output: abanico serve -->\n<!-- /output -->\n",
        "<!-- output: table metrics -->\n",
    ],
    ids=["another program", "another command", "no end"],
)
def test_other_commands_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.md").write_text(text)
    done = subprocess.run([str(UPDATE_DOCS), "--root", str(tmp_path)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert (tmp_path / "page.md").read_text() == text


# ---- tables that restate code


def log_calls() -> dict[str, set[str]]:
    """Fields of the program's log lines by the file that writes them."""
    found = {}
    for file in sorted(CRATES.glob("*/src/**/*.rs")):
        text = file.read_text().split("#[cfg(test)]")[0]
        fields: set[str] = set()
        for call in re.finditer(r"tracing::(?:error|warn|info|debug|trace)!\(", text):
            fields |= {_field(one) for one in _arguments(text, call.end()) if not one.startswith('"')}
        if fields:
            found[str(file.relative_to(WORKSPACE))] = fields
    return found


def _arguments(text: str, start: int) -> list[str]:
    """Arguments of a call. `start` is the position after its opening parenthesis."""
    parts, depth, current, is_text, at = [], 1, "", False, start
    while depth:
        letter = text[at]
        if is_text:
            is_text = letter != '"' or text[at - 1] == "\\"
        else:
            is_text = letter == '"'
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 1 and not is_text:
            parts.append(current)
            current = ""
        else:
            current += letter
        at += 1
    return [part.strip() for part in [*parts, current.removesuffix(")")] if part.strip()]


def _field(argument: str) -> str:
    """The name of a field: `error = %x`, `%x` or `a.b = x`; only fields with a value keep their dots."""
    name, equals, _ = argument.partition("=")
    name = name.strip().lstrip("%?&")
    return name if equals else name.rsplit(".", 1)[-1]


def test_log_fields_match_the_code() -> None:
    logged = set().union(*log_calls().values())
    documented = set().union(*map(in_code, cells(section(page("LOGGING"), "Fields of the program"), 0)))
    assert "job.id" in logged and len(logged) > 20
    assert documented == logged


def test_log_fields_of_functions_exist() -> None:
    sources = "".join(file.read_text() for file in (CRATES / "lambda" / "src").rglob("*.rs"))
    documented = set().union(*map(in_code, cells(section(page("LOGGING"), "Fields of the Lambda functions"), 0)))
    assert documented
    assert [name for name in documented if f'"{name}"' not in sources] == []


def test_default_log_filter_is_documented() -> None:
    source = (CRATES / "cli" / "src" / "logging.rs").read_text()
    crates = set(re.findall(r"(abanico\w*)=info", source))
    (row,) = [row for row in section(page("LOGGING"), "How to read it").splitlines() if row.startswith("| `abanico serve`")]
    assert {span for span in in_code(row) if re.fullmatch(r"abanico\w*", span)} == crates


def test_default_log_filter_has_every_crate_that_informs() -> None:
    """A server shows the information of all its crates: a new crate must not fall silent."""
    source = (CRATES / "cli" / "src" / "logging.rs").read_text()
    shown = set(re.findall(r"(abanico\w*)=info", source))
    informing = {
        f"abanico_{folder.name}"
        for folder in CRATES.iterdir()
        if folder.name not in ("cli", "lambda", "testkit")
        and any("tracing::info!" in file.read_text() for file in (folder / "src").rglob("*.rs"))
    }
    assert "abanico_tasks" in informing and informing <= shown


def test_error_codes_match_the_code() -> None:
    codes = CRATES / "tasks" / "src" / "failure" / "codes.rs"
    used = set(re.findall(r"pub const \w+: u32 = (\d+);", codes.read_text()))
    assert {"1010", "1999", "3408"} <= used
    assert set(cells(section(page("COMPATIBILITY"), "Codes of jobs in ERROR"), 0)) == used


def test_operations_match_the_model() -> None:
    model = set(json.loads((WORKSPACE / "codegen" / "mediaconvert.json").read_text())["operations"])
    text = section(page("COMPATIBILITY"), "MediaConvert: operations")
    named = [name for cell in cells(text, 0) for name in cell.split(", ")]
    assert sorted(named) == sorted(model)
    assert f"All {len(model)} operations" in text


def test_counts_of_presets_agree() -> None:
    known, usable = cells(update_docs.system_presets(), 1)[-1], cells(update_docs.system_presets(), 2)[-1]
    assert f"{known} system presets" in PAGES["CHANGELOG.md"] and f"of which {usable} are usable" in PAGES["CHANGELOG.md"]


def test_crates_are_in_order() -> None:
    source = (WORKSPACE / "scripts" / "check_crate_order.py").read_text()
    order = re.findall(r'"(\w+)"', re.search(r"ORDER = \[(.*?)\]", source)[1])
    existing = {file.parent.name for file in CRATES.glob("*/Cargo.toml")}
    listed = [name.strip("`") for name in cells(section(page("ARCHITECTURE"), "Crates"), 0)]
    assert listed == [name for name in order if name in existing] + ["testkit"]
    assert set(listed) == existing


def test_exit_statuses_match_the_program() -> None:
    told = help_text().split("Exit status: ")[1]
    assert set(cells(section(page("CONFIGURATION"), "Exit status"), 0)) == set(re.findall(r"\b(\d+)\s", told))


def test_destination_variables_match_the_code() -> None:
    source = (CRATES / "trigger" / "src" / "destination.rs").read_text().split("#[cfg(test)]")[0]
    names = set(re.findall(r'"(\w+)" => Piece::', source))
    listed = {cell.strip("`{}") for cell in cells(section(page("CONFIGURATION"), "`[[trigger]]`"), 0) if "{" in cell}
    assert names and listed == names


def test_every_variable_is_documented() -> None:
    arguments = "".join(file.read_text() for file in (CRATES / "cli" / "src").rglob("*.rs"))
    read = set(re.findall(r'(?:env = |VARIABLE: &str = )"([A-Z_]+)"', arguments))
    listed = set().union(*map(in_code, cells(section(page("CONFIGURATION"), "Environment variables"), 0)))
    assert {"ABANICO_LOG", "ABANICO_SECRET_ACCESS_KEY"} <= read
    assert read - listed == set()


# ---- the configuration

# Tables of the configuration by the structures that hold them.
STRUCTURES = {
    "Config": "top",
    "EngineConfig": "engine",
    "S3Config": "s3",
    "RetentionConfig": "retention",
    "MetricsConfig": "metrics",
    "MediaConvertConfig": "mediaconvert",
    "BucketConfig": "bucket",
    "WebInputsConfig": "web_inputs",
    "TriggerConfig": "trigger",
    "NotificationsConfig": "notifications",
    "WebhookConfig": "webhook",
    "EventBusConfig": "event_bus",
    "TemporalConfig": "temporal",
}


def config_source() -> str:
    """The code that reads the configuration, without its tests."""
    files = [CRATES / "cli" / "src" / "config.rs", *(CRATES / "cli" / "src" / "config").glob("*.rs")]
    return "".join(file.read_text().split("#[cfg(test)]")[0] for file in files)


def keys_of_code() -> set[tuple[str, str]]:
    """Keys that the code reads, each with its table. Tables themselves are not keys."""
    found = set()
    for structure, table in STRUCTURES.items():
        body = re.search(rf"pub struct {structure} \{{\n(.*?)^\}}", config_source(), re.DOTALL | re.MULTILINE)[1]
        body = re.sub(r"#\[serde\(skip\)\]\n    pub .+", "", body)
        for name, kind in re.findall(r"pub (\w+): (.+),", body):
            if not any(other in kind for other in STRUCTURES):
                found.add((table, name))
    return found


def example() -> dict[str, list[tuple[str, str, str]]]:
    """Keys of the example, as the script that writes the tables reads them."""
    return update_docs.configuration((WORKSPACE / "abanico.example.toml").read_text())


def test_configuration_keys_match_the_code() -> None:
    documented = {(table, name) for table, keys in example().items() for name, _, _ in keys}
    assert documented == keys_of_code()
    assert set(update_docs.SECTIONS) == set(STRUCTURES.values())


def defaults_of_code() -> dict[str, object]:
    """Defaults by key, read from the code's `Default` implementations and serde's default functions."""
    source = config_source()
    found: dict[str, object] = {}
    for name, value in re.findall(r"^            (\w+): (\d+|true|false|\"[^\"]*\"),$", source, re.MULTILINE):
        found[name] = json.loads(value)
    for name, value in re.findall(r'(\w+): (?:PathBuf::from\()?"([^"]*)"(?:\)|\.to_owned\(\)),', source):
        found[name] = value
    functions = dict(re.findall(r'fn (\w+)\(\) -> \w+ \{\n    ("[^"]*"|\d+|true|false)', source))
    for function, name in re.findall(r'#\[serde\(default = "(\w+)"\)\]\n    pub (\w+):', source):
        found[name] = json.loads(functions[function])
    for name, kind in re.findall(r"#\[serde\(default\)\]\n    pub (\w+): (bool|String)", source):
        found[name] = False if kind == "bool" else ""
    numbers = [int(number) for number in re.search(r"SocketAddr::from\(\(\[([\d, ]+)\], (\d+)\)\)", source)[1].split(", ")]
    port = re.search(r"SocketAddr::from\(\(\[[\d, ]+\], (\d+)\)\)", source)[1]
    found["listen"] = ".".join(map(str, numbers)) + f":{port}"
    limits = (CRATES / "store" / "src" / "web.rs").read_text()
    bytes_, shift = re.search(r"most_bytes: (\d+) << (\d+)", limits).groups()
    found["max_bytes"] = int(bytes_) << int(shift)
    hours = re.search(r"whole: Duration::from_secs\((\d+) \* 60 \* 60\)", limits)[1]
    found["max_seconds"] = int(hours) * 3600
    # Enumerations: the variant that is marked as the default.
    arguments = (CRATES / "cli" / "src" / "arguments.rs").read_text()
    enumerations = (("kind", source, "EngineKind"), ("chunks", arguments, "Chunks"), ("sandbox", source, "SandboxMode"))
    for key, text, enumeration in enumerations:
        body = re.search(rf"pub enum {enumeration} \{{(.*?)^\}}", text, re.DOTALL | re.MULTILINE)[1]
        variant = re.search(r"#\[default\]\n    (\w+),", body)[1]
        found[key] = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", variant).lower()
    return found


def test_configuration_defaults_match_the_code() -> None:
    known = defaults_of_code()
    wrong = []
    for table, keys in example().items():
        for name, shown, _ in keys:
            if shown == "empty" or shown.startswith("`") and shown.count("`") == 2 and "AWS" not in shown:
                value = "" if shown == "empty" else tomllib.loads(f"x = {shown.strip('`')}")["x"]
                if name not in known or known[name] != value:
                    wrong.append(f"{table}.{name}: {value!r}, the code has {known.get(name)!r}")
    assert wrong == []


def test_example_is_valid_with_every_key(tmp_path: Path) -> None:
    text = (WORKSPACE / "abanico.example.toml").read_text()
    whole = re.sub(r"^#(?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    for number, content in enumerate((text, whole)):
        file = tmp_path / f"{number}.toml"
        file.write_text(content)
        command = [str(binary()), "doctor", "--config", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
        # 3 says that something is missing on this machine, such as a free port; 2 would be a wrong configuration.
        assert done.returncode in (0, 3) and "abanico.toml" not in done.stderr, done.stderr


# ---- the guide for developers


def listed_files(text: str, heading: str) -> set[str]:
    """Files that a section names by their whole path."""
    return {span for span in in_code(section(text, heading)) if "/" in span and re.search(ENDINGS, span)}


@pytest.mark.parametrize("heading", ["Add a setting", "Add an output kind", "Add an S3 operation"])
def test_lists_of_files_have_whole_paths(heading: str) -> None:
    named = listed_files(page("DEVELOPMENT"), heading)
    assert len(named) >= 8
    assert [name for name in named if not (WORKSPACE / name).is_file()] == []


def test_named_end_to_end_tests_exist() -> None:
    named = re.findall(r"TEST=(test_\w+\.py)(?:::(\w+))?", "".join(PAGES.values()))
    assert named
    for file, test in named:
        assert f"def {test}" in (WORKSPACE / "tests" / "e2e" / file).read_text()


def test_picture_of_rooms_follows_the_order() -> None:
    order = re.search(r"^ORDER = (\[.*?\])", (WORKSPACE / "scripts" / "check_crate_order.py").read_text(), re.MULTILINE)[1]
    order = [crate for crate in json.loads(order) if (CRATES / crate).exists()]
    picture = section(page("DEVELOPMENT"), "The rooms").split("```")[1]
    rows = [re.findall(r"│ (\w+) (?=│)", line) for line in picture.splitlines() if "│" in line]
    assert sorted(sum(rows, [])) == sorted(order)
    uses = update_docs.crates()
    for number, row in enumerate(rows):
        below = {crate for crates in rows[number + 1 :] for crate in crates}
        assert all(uses[crate] <= below and uses[crate] <= set(order[: order.index(crate)]) for crate in row)


# ---- can the checks fail?


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (broken_links, "[a](no/such/file.md)"),
        (broken_links, "[a](README.md#no-such-heading)"),
        (broken_links, "# A\n[a](#b)"),
        (unknown_targets, "Run `make nothing`."),
        (unknown_targets, "```\nmake nothing\n```\n"),
        (unknown_targets, "`make demo && make nothing`"),
        (wrong_commands, "`abanico fly`"),
        (wrong_commands, "`abanico aws deploy|fly`"),
        (wrong_commands, "`abanico serve --fly`"),
        (wrong_commands, "```\n$ abanico transcode a.mp4 --fly\n```\n"),
        (wrong_commands, "with `--fly`"),
        (unknown_variables, "`ABANICO_NOTHING`"),
        (missing_files, "`plan/src/nothing.rs`"),
        (private_paths, "see /home/ann/film.mp4"),
    ],
)
def test_checks_find_planted_faults(check: object, text: str) -> None:
    assert len(check("PLANTED.md", text)) == 1


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (broken_links, "# A b\n[a](#a-b), [b](docs/COST.md), [c](https://example.org/), `[d](e)`"),
        (unknown_targets, "`make demo VIDEO=path`, make it work"),
        (wrong_commands, "`abanico aws deploy --yes`, `abanico aws estimate FILE --job JOB`, `abanico-data`, `--yes`"),
        (unknown_variables, "`ABANICO_LOG`, `ABANICO_FFMPEG`"),
        (missing_files, "`chunks.rs`, `plan/src/cutting/chunks.rs`, `abanico.toml`"),
    ],
)
def test_checks_accept_right_text(check: object, text: str) -> None:
    assert check("PLANTED.md", text) == []
