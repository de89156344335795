"""A small month: every promise kept under faults, the same month for the same seed, and a broken policy that is caught.

Here: tens of scans. Not here: the thousands of ``als soak``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from als_assets.cli import app
from als_assets.facility.retention import Retention
from als_assets.retention import evidence
from als_assets.retention.snapshot import Copy
from als_assets.soak import Month, Summary, run_month
from als_assets.soak.places import DATA, beamline_policy

SMALL = Month(scans=30, seed=7, hours=480)


@pytest.fixture(scope="module")
def summary() -> Summary:
    return run_month(SMALL)


def test_every_promise_is_kept(summary: Summary) -> None:
    assert summary.broken == [] and summary.checks == SMALL.hours


def test_there_was_something_to_keep(summary: Summary) -> None:
    """A month in which nothing was deleted and nothing went wrong would prove nothing."""
    assert summary.deletions_asked > SMALL.scans and summary.copies["deleted"] > SMALL.scans
    assert sum(summary.faults.values()) > 5 and summary.outcomes["announced"] > SMALL.scans / 2


def test_a_prune_that_trusts_its_record_blindly_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of the platform is broken on purpose: it takes any raw copy for proof enough, even none."""

    def anything(_self: evidence.Judge, _copy: Copy, others: list[Copy], *_: object) -> evidence.Proof:
        return evidence.Proof(tuple(_self._by_product.get(_copy.of, [])[:1]))

    def rash() -> Retention:
        return beamline_policy().model_copy(update={"grace_hours": 0.0})

    monkeypatch.setattr(evidence.Judge, "_raw_proof", anything)
    monkeypatch.setattr("als_assets.soak.month.ARCHIVE", DATA)  # nothing ever reaches the archive
    caught = run_month(Month(scans=8, seed=3, hours=80, policy=rash))
    assert any("are left of the raw file" in sentence for sentence in caught.broken)


def test_the_command_writes_its_summary_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    result = CliRunner().invoke(app, ["soak", "--scans", "3", "--hours", "72", "--parts", "1", "--json", str(file)])
    assert result.exit_code == 0, result.output
    assert "Every promise was kept." in result.output
    written = json.loads(file.read_text())
    assert written["scans"] == 3 and written["hours"] == 72 and written["broken"] == []


def test_the_command_fails_when_a_promise_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Summary(scans=1, seed=1, hours=48, broken=["x: deleted although somebody holds it"])
    monkeypatch.setattr("als_assets.soak.run_months", lambda _months, tell: broken)
    result = CliRunner().invoke(app, ["soak", "--scans", "1"])
    assert result.exit_code == 1 and "BROKEN: x: deleted although somebody holds it" in result.output


def test_parts_are_added_up() -> None:
    one = Summary(scans=3, seed=1, hours=48, checks=48, copies={"verified": 2}, broken=["a"])
    two = Summary(scans=2, seed=2, hours=48, checks=48, copies={"verified": 1, "deleted": 4}, broken=["b"])
    total = one.plus(two)
    assert (total.scans, total.checks, total.hours, total.broken) == (5, 96, 48, ["a", "b"])
    assert total.copies == {"verified": 3, "deleted": 4}
