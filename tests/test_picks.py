"""A value picked from a sweep becomes the scan's parameter: in the record, for Dagster's full run, and on the command line.

Here: the commands on a real record and a real scan. Not here: the pictures (``tests/recon/test_sweep.py``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from als_assets.cli import main
from als_assets.ledger.datasets import parameters_of
from als_assets.platform import Platform, platform_of
from als_assets.simulator.box import Box, Ports, make_box
from als_assets.simulator.detector import synthetic_scan

Als = Callable[..., tuple[int, str]]


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    box = make_box(tmp_path, Ports(1, 2, 3))
    monkeypatch.setenv("ALS_FACILITY", str(box.facility_file))
    return box


@pytest.fixture
def als(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Als:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["als", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def scan(box: Box, als: Als) -> Path:
    """An admitted scan."""
    path = box.watched / "demo-00847_jdoe" / "one.h5"
    path.parent.mkdir(parents=True)
    synthetic_scan(path, rows=4, columns=64, angles=31)
    assert als("scan", "announce", str(path))[0] == 0
    return path


def chosen(box: Box) -> dict[str, Any]:
    parts: Platform = platform_of(box.facility_file)
    return parameters_of(parts.ledger.datasets.get("one"))


def test_a_parameter_is_chosen_and_forgotten(box: Box, scan: Path, als: Als) -> None:
    code, words = als("scan", "set-parameter", "one", "center", "31.25", "--who", "jdoe")
    assert (code, chosen(box)) == (0, {"center": 31.25}), words
    assert als("scan", "set-parameter", "one", "ring_removal", "smoothing")[0] == 0
    assert als("scan", "set-parameter", "one", "center", "default")[0] == 0
    assert chosen(box) == {"ring_removal": "smoothing"}
    audit = platform_of(box.facility_file).ledger.audit.of("one")
    rows = [(row.who, row.before, row.after) for row in audit if "chosen" in row.why or "taken back" in row.why]
    assert ("jdoe", None, "center = 31.25") in rows
    assert any(before == "center = 31.25" and after is None for _, before, after in rows)


@pytest.mark.parametrize(("name", "value"), [("colour", "red"), ("center", "somewhere"), ("ring_size", "1")])
def test_nonsense_is_not_kept(box: Box, scan: Path, als: Als, name: str, value: str) -> None:
    code, words = als("scan", "set-parameter", "one", name, value)
    assert code == 2 and "Next step" in words
    assert chosen(box) == {}


def test_a_pick_from_a_sweep_reaches_the_record_and_the_next_reconstruction(box: Box, scan: Path, als: Als, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    code, words = als("recon", "sweep", str(scan), "--output", str(out), "--parameter", "center", "--pick", "31.5")
    assert code == 0 and "one: center = 31.5 in its next full reconstruction" in words
    assert chosen(box) == {"center": 31.5}
    code, words = als("recon", "reconstruct", str(scan), "--output", str(tmp_path / "r"))
    assert code == 0 and "Chosen for this scan: center = 31.5." in words
    record = json.loads((tmp_path / "r" / "recone" / "parameters.json").read_bytes())
    assert record["center"]["value"] == 31.5
    (tmp_path / "p.yaml").write_text("center: 30\n")
    assert als("recon", "reconstruct", str(scan), "--output", str(tmp_path / "q"), "--params", str(tmp_path / "p.yaml"))[0] == 0
    record = json.loads((tmp_path / "q" / "recone" / "parameters.json").read_bytes())
    assert record["center"]["value"] == 30, "what is given goes before what was chosen"


def test_a_file_that_is_no_scan_of_the_record_only_gets_its_file_of_picks(box: Box, scan: Path, als: Als, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.h5"
    synthetic_scan(other, rows=4, columns=64, angles=31)
    code, words = als("recon", "sweep", str(other), "--output", str(tmp_path / "s"), "--pick", "30")
    assert code == 0 and "does not know this file" in words
    assert (tmp_path / "s" / "parameters.yaml").exists() and chosen(box) == {}


def test_without_a_facility_a_pick_needs_none(als: Als, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALS_FACILITY", str(tmp_path / "absent.yaml"))
    other = tmp_path / "elsewhere.h5"
    synthetic_scan(other, rows=4, columns=64, angles=31)
    assert als("recon", "sweep", str(other), "--output", str(tmp_path / "s"), "--pick", "30")[0] == 0
