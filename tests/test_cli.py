"""The ``als`` command: help everywhere, exit codes, JSON for scripts, and errors in one sentence.

Here: commands on a facility on disk, without services. Not here: the demo as a whole (``tests/e2e/test_demo.py``).
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from als_assets.cli import app, main
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.detector import synthetic_scan

REPOSITORY = Path(__file__).parent.parent
COMMANDS = [
    [],
    ["demo"],
    ["config", "check"],
    ["scan", "list"],
    ["scan", "show"],
    ["scan", "announce"],
    ["scan", "flag"],
    ["scan", "release"],
    ["copy", "prove"],
    ["copy", "replace"],
    ["copy", "lost"],
    ["hold"],
    ["release"],
    ["extend"],
    ["scan", "set-parameter"],
    ["ledger", "check"],
    ["ledger", "rebuild"],
    ["scicat", "check"],
    ["scicat", "ingest"],
    ["scicat", "show"],
    ["scicat", "reconcile"],
    ["simulate", "facility"],
    ["simulate", "scan"],
    ["recon"],
    ["board"],
    ["view"],
]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return make_box(tmp_path, Ports(1, 2, 3))


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Als = Callable[..., Done]


@pytest.fixture
def als(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Als:
    """The command in this process (a new one takes seconds to import the clients): its exit code and what it printed."""

    def run(*arguments: str, box: Box | None = None) -> Done:
        monkeypatch.setattr(sys, "argv", ["als", *arguments])
        monkeypatch.setenv("ALS_FACILITY", str(box.facility_file) if box else "nowhere.yaml")
        monkeypatch.setenv("COLUMNS", "200")
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return run


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(als: Als, command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0, shown.output
    assert "usage" in shown.output.lower()


def test_help_imports_no_client_of_any_service() -> None:
    code = "import sys, als_assets.cli; print([m for m in ('globus_sdk', 'sqlalchemy', 'sfapi_client', 'dagster') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"


def test_config_check_accepts_the_production_files(als: Als) -> None:
    done = als("config", "check", str(REPOSITORY / "facility" / "als.yaml"))
    assert done.returncode == 0, done.stderr
    assert "right" in done.stdout
    assert "olcf: no jobs are sent there. OLCF (Frontier) is not set up: <OLCF project> must be filled in at" in done.stdout


def test_config_check_names_file_line_and_reason(als: Als, tmp_path: Path, box: Box) -> None:
    text = box.facility_file.read_text().replace("site: nersc", "site: nowhere", 1)
    broken = box.root / "broken.yaml"
    broken.write_text(text)
    done = als("config", "check", str(broken))
    assert done.returncode == 2
    line = next(i for i, row in enumerate(text.splitlines(), start=1) if "site: nowhere" in row)
    assert f"{broken}, line {line}:" in done.stderr
    assert "'nowhere' is not defined" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_facility_file_is_one_sentence(als: Als) -> None:
    done = als("scan", "list")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert "Next step" in done.stderr


def test_announce_list_show_flag_release(als: Als, box: Box) -> None:
    path = box.watched / "demo-00847_jdoe" / "one.h5"
    path.parent.mkdir(parents=True)
    synthetic_scan(path, rows=4, columns=64, angles=11)
    assert "Admitted as one" in als("scan", "announce", str(path), box=box).stdout
    assert "already" in als("scan", "announce", "demo-00847_jdoe/one.h5", box=box).stdout
    listed = json.loads(als("scan", "list", "--json", box=box).stdout)
    assert [row["key"] for row in listed["scans"]] == ["one"]
    assert listed["scans"][0]["copies"][0]["location"] == "spot832"
    assert "May leave the ALS: yes" in als("scan", "show", "one", box=box).stdout
    assert als("scan", "flag", "one", "--reason", "export control", box=box).returncode == 0
    assert "May leave the ALS: no (export control)" in als("scan", "show", "one", box=box).stdout
    assert als("scan", "release", "one", "--reason", "cleared", box=box).returncode == 0
    assert json.loads(als("scan", "show", "one", "--json", box=box).stdout)["may_leave"] is True


def test_hold_wins_until_it_is_ended(als: Als, box: Box) -> None:
    path = box.watched / "f" / "kept.h5"
    path.parent.mkdir(parents=True)
    synthetic_scan(path, rows=4, columns=64, angles=11)
    als("scan", "announce", "f/kept.h5", box=box)
    held = als("hold", "kept", "--reason", "paper in review", "--until", "2099-01-01", "--who", "jdoe", box=box)
    assert held.returncode == 0, held.stderr
    assert "is held" in held.stdout
    assert "has ended" in als("release", "kept", "--reason", "published", box=box).stdout
    assert "No hold is in force" in als("release", "kept", "--reason", "again", box=box).stderr
    assert als("hold", "absent", "--reason", "x", box=box).returncode == 1


def test_unknown_scan_and_bad_file_exit_with_one(als: Als, box: Box) -> None:
    unknown = als("scan", "show", "nothing", box=box)
    assert unknown.returncode == 1
    assert "No scan with the key 'nothing'" in unknown.stderr
    (box.watched / "text.h5").write_text("no HDF5")
    bad = als("scan", "announce", "text.h5", box=box)
    assert bad.returncode == 1
    assert "text.h5" in bad.stderr
    outside = als("scan", "announce", "../../secrets/scicat", box=box)
    assert outside.returncode == 1
    assert "refused" in outside.stderr


def test_simulate_scan_then_recon_by_hand(als: Als, tmp_path: Path) -> None:
    scan = tmp_path / "byhand.h5"
    assert als("simulate", "scan", str(scan), "--rows", "4", "--columns", "64", "--angles", "31").returncode == 0
    done = als("recon", "preview", str(scan), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "preview.json").exists()
    wrong = als("recon", "preview", str(tmp_path / "absent.h5"), "--output", str(tmp_path / "out"))
    assert wrong.returncode not in (0, 2)


def test_ledger_is_checked_and_made_anew(als: Als, box: Box, tmp_path: Path) -> None:
    path = box.watched / "f" / "one.h5"
    path.parent.mkdir(parents=True)
    synthetic_scan(path, rows=4, columns=64, angles=11)
    als("scan", "announce", "f/one.h5", box=box)
    assert "is what the audit says" in als("ledger", "check", box=box).stdout
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as record, record:
        record.execute("UPDATE replicas SET state = 'lost'")
    found = als("ledger", "check", box=box)
    assert found.returncode == 1 and "raw of one at spot832: state" in found.stdout
    assert "Nothing was changed" in als("ledger", "rebuild", box=box).stdout
    assert als("ledger", "check", box=box).returncode == 1
    assert "1 copies were made anew" in als("ledger", "rebuild", "--yes", "--who", "ada", box=box).stdout
    assert als("ledger", "check", box=box).returncode == 0
