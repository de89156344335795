"""Pure logic of the services: batch scripts, collection paths and filters, SciCat's checks and queries; and the job wrapper."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.simulator.globus import files
from als_assets.simulator.scicat import rules, search
from als_assets.simulator.sfapi import wrapper
from als_assets.simulator.sfapi.processes import JobFolder
from als_assets.simulator.sfapi.script import ScriptRefused, expand, format_time, parse_script, parse_time

# --- batch scripts -------------------------------------------------------------------------------------------------------


def test_options_in_all_spellings() -> None:
    script = parse_script(
        "#!/bin/bash\n"
        "# a remark\n"
        "#SBATCH -J short -q realtime\n"
        "\n"
        "#SBATCH --account=als   # why\n"
        "#SBATCH --comment 'two words'\n"
        "#SBATCH -t10 --exclusive -N 2\n"
        "#SBATCH --signal=B:USR1@120\n"
        "echo start\n"
        "#SBATCH --qos=ignored\n"
    )
    assert script.options == {
        "job-name": "short",
        "qos": "realtime",
        "account": "als",
        "comment": "two words",
        "time": "10",
        "exclusive": "",
        "nodes": "2",
        "signal": "B:USR1@120",
    }
    assert (script.name, script.limit_s, script.warning) == ("short", 600, (10, 120))


def test_defaults() -> None:
    script = parse_script("#!/bin/sh\ntrue")
    assert (script.name, script.limit_s, script.warning) == ("sbatch", 600, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  #!/bin/sh\ntrue", "does not look like a batch script"),
        ("true", "does not look like a batch script"),
        ("#!/bin/sh\n#SBATCH --time=1:2:3:4\n", "Invalid --time"),
        ("#!/bin/sh\n#SBATCH --signal=BANG@3\n", "Invalid --signal"),
        ("#!/bin/sh\n#SBATCH -J 'open\n", "malformed"),
        ("#!/bin/sh\n#SBATCH a b\n", "Invalid option"),
    ],
)
def test_refused_scripts(text: str, words: str) -> None:
    with pytest.raises(ScriptRefused, match=words):
        parse_script(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5", 300), ("5:30", 330), ("1:00:00", 3600), ("1-2", 93600), ("1-2:03", 93780), ("1-2:03:04", 93784), ("0:00:02", 2)],
)
def test_time_limits(text: str, seconds: int) -> None:
    assert parse_time(text) == seconds


@given(st.integers(0, 10**7))
def test_times_survive_their_spelling(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


@given(st.text())
def test_any_time_is_parsed_or_refused(text: str) -> None:
    try:
        assert parse_time(text) >= 0
    except ValueError as error:
        assert text in str(error)


def test_log_names() -> None:
    known = {"job_id": "42", "name": "tomo", "user": "als", "node": "n1"}
    assert expand("%x_%j.%u@%N%%", **known) == "tomo_42.als@n1%"
    assert expand("%5j %q", **known) == "00042 %q"


# --- collection paths ----------------------------------------------------------------------------------------------------


_PART = st.sampled_from(["..", ".", "a", "b", "up", "abs", "~", "", "c d"])


@given(st.lists(_PART, max_size=8), st.booleans())
def test_no_path_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, parts: list[str], follow: bool) -> None:
    root = _rooted(tmp_path_factory)
    try:
        found = files.real_path(root, "/" + "/".join(parts), follow=follow)
    except files.OutsideRoot:
        return
    assert found == root or root in found.parents
    if found.exists() and follow:
        assert found.resolve() == root or root in found.resolve().parents


def _rooted(factory: pytest.TempPathFactory) -> Path:
    """A root with a directory, a link out of it and a link up."""
    root = factory.getbasetemp() / "rooted"
    if not root.exists():
        (root / "a" / "b").mkdir(parents=True)
        (root / "up").symlink_to("..")
        (root / "a" / "abs").symlink_to("/etc")
    return root.resolve()


def test_paths_that_are_meant(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    assert files.real_path(tmp_path, "/~/a") == tmp_path / "a"
    assert files.real_path(tmp_path, "a/../a/x") == tmp_path / "a" / "x"
    assert files.real_path(tmp_path, "/link/x") == tmp_path / "a" / "x"
    assert files.real_path(tmp_path, "/link", follow=False) == tmp_path / "link"
    assert files.real_path(tmp_path, "/") == tmp_path
    with pytest.raises(files.OutsideRoot):
        files.real_path(tmp_path, "/a\0b")


@pytest.mark.parametrize(
    ("actual", "value", "fits"),
    [
        ("f.h5", "f.h5,g.h5", True),
        ("f.h5", "=f.h5", True),
        ("f.h5", "~*.h5", True),
        ("f.h5", "!~*.h5", False),
        ("f.h5", "!f.h5,g.h5", False),
        ("f.h5", "!g.h5", True),
        ("F.h5", "~f*", False),
    ],
)
def test_text_filters(actual: str, value: str, fits: bool) -> None:
    assert files.matches_text(actual, value) is fits


def test_filter_rules_are_tried_in_order() -> None:
    ordered: list[dict[str, Any]] = [
        {"method": "include", "name": "keep*", "type": "file"},
        {"method": "exclude", "name": "*.tmp"},
        {"name": "old", "type": "dir"},
    ]
    excluded = [files.excluded(name, kind, ordered) for name, kind in (("keep.tmp", "file"), ("x.tmp", "file"), ("old", "dir"))]
    assert excluded == [False, True, True]
    assert not files.excluded("old", "file", ordered)


def test_orders() -> None:
    entries = [{"name": "b", "size": 9, "type": "file"}, {"name": "a", "size": 10, "type": "file"}]
    assert [entry["name"] for entry in files.ordered(entries, "size DESC")] == ["a", "b"]
    assert [entry["name"] for entry in files.ordered(entries, "")] == ["a", "b"]
    assert [entry["name"] for entry in files.ordered(entries, "type,size")] == ["b", "a"]


# --- SciCat ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("a@b.org", True),
        ("a@b.org; c@d.lbl.gov", True),
        ("a@b.org, c@d.org", False),
        ("jane@localhost", False),
        ("a@b..org", False),
        ("", False),
        ("a@b.org;", False),
        ("a b@c.org", False),
    ],
)
def test_email_lists(text: str, valid: bool) -> None:
    assert rules.is_email_list(text) is valid


@given(st.text())
def test_no_email_without_an_at(text: str) -> None:
    if rules.is_email_list(text):
        assert all(part.count("@") == 1 for part in text.split(";"))


@pytest.mark.parametrize(
    ("value", "valid"), [("2026-11-22", True), ("2026-11-22T10:00:00.000Z", True), ("tomorrow", False), (5, False), (None, False)]
)
def test_dates(value: object, valid: bool) -> None:
    assert rules.is_date(value) is valid


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        ({"n": 5, "tags": "a"}, True),
        ({"tags": ["a"]}, False),
        ({"n": [4, 5]}, True),
        ({"n": {"gt": 4, "lt": 6}}, True),
        ({"n": {"gte": 6}}, False),
        ({"n": {"lte": 5}}, True),
        ({"n": {"neq": 5}}, False),
        ({"n": {"between": [1, 5]}}, True),
        ({"tags": {"inq": ["z", "b"]}}, True),
        ({"tags": {"nin": ["z"]}}, True),
        ({"name": {"ilike": "SCAN"}}, True),
        ({"name": {"regexp": "^can"}}, False),
        ({"meta.energy.value": 25}, True),
        ({"meta.nope.value": 25}, False),
        ({"nope": {"exists": False}}, True),
        ({"$and": [{"n": 5}, {"n": 6}]}, False),
        ({}, True),
    ],
)
def test_conditions(where: dict[str, Any], fits: bool) -> None:
    record = {"n": 5, "tags": ["a", "b"], "name": "scan-1", "meta": {"energy": {"value": 25}}}
    assert search.matches(record, where) is fits


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 10), st.integers(1, 10))
def test_pages_tile_the_whole(numbers: list[int], skip: int, limit: int) -> None:
    records = [{"n": number, "i": index} for index, number in enumerate(numbers)]
    whole = search.page(records, {"order": "n:asc"}, None)
    assert [record["n"] for record in whole] == sorted(numbers)
    assert search.page(records, {"order": "n:asc", "skip": skip, "limit": limit}, None) == whole[skip : skip + limit]
    assert search.page(records, {"sort": {"n": "desc"}}, 3) == sorted(records, key=lambda record: -record["n"])[:3]


# --- the job wrapper -----------------------------------------------------------------------------------------------------


def run_wrapped(folder: Path, script: str, **changes: Any) -> JobFolder:
    """A job's folder once its wrapper has written the ending."""
    document = {"output": str(folder / "out"), "error": str(folder / "err"), "workdir": str(folder), "arguments": []}
    job = JobFolder(folder / "job")
    job.start(script, {**document, "environment": {"PATH": os.environ["PATH"], "WORD": "hello"}, **changes})
    end = time.monotonic() + 20
    while job.ending() is None and time.monotonic() < end:
        time.sleep(0.01)
    return job


def test_wrapper_runs_the_script_through_its_interpreter(tmp_path: Path) -> None:
    script = f"#!{sys.executable}\nimport os, sys\nprint(os.environ['WORD'], sys.argv[1:], os.getcwd())\nsys.exit(5)\n"
    ending = run_wrapped(tmp_path, script, arguments=["a", "b c"]).ending()
    assert ending is not None
    assert (ending.exit, ending.signal) == (5, 0)
    assert ending.end >= ending.start
    assert (tmp_path / "out").read_text() == f"hello ['a', 'b c'] {tmp_path}\n"


@pytest.mark.parametrize(
    ("script", "changes", "exit_code", "number"),
    [
        ("#!/bin/sh\nkill -TERM $$\n", {}, 0, 15),
        ("#!/nowhere/interpreter\n", {}, 127, 0),
        ("#!/bin/sh\ntrue\n", {"output": "/nowhere/out"}, 0, wrapper.NO_LOG),
    ],
)
def test_wrapper_endings(tmp_path: Path, script: str, changes: dict[str, str], exit_code: int, number: int) -> None:
    job = run_wrapped(tmp_path, script, **changes)
    ending = job.ending()
    assert ending is not None
    assert (ending.exit, ending.signal) == (exit_code, number)
    assert job.started()


@pytest.mark.parametrize("how", ["blocked", "ignored"])
def test_a_script_hears_signals_that_its_caller_does_not(tmp_path: Path, how: str) -> None:
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN) if how == "ignored" else signal.getsignal(signal.SIGTERM)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM} if how == "blocked" else ())
    try:
        ending = run_wrapped(tmp_path, "#!/bin/sh\nkill -TERM $$\n").ending()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, handler)
    assert ending is not None and (ending.exit, ending.signal) == (0, 15)


def test_wrapper_needs_nothing_of_this_package() -> None:
    """It starts with ``-I -S``: neither this package nor any installed one can be imported there."""
    text = Path(wrapper.__file__).read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", "import als_assets"], capture_output=True, check=False)
    assert done.returncode != 0


def test_a_foreign_process_with_the_same_id_is_not_signalled(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        wrapper.write(tmp_path / "pids.json", {"wrapper": stranger.pid, "group": stranger.pid, "start": 0.0})
        assert not folder.alive()
        folder.kill()
        time.sleep(0.1)
        assert stranger.poll() is None
        stranger.kill()
