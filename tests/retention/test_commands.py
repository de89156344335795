"""``als prune`` and ``als hold``, ``release``, ``extend`` as staff type them.

Here: the words and exit codes. Not here: the rules behind them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from retention_kit import Store
from typer.testing import CliRunner

from als_assets.cli import app
from als_assets.errors import DatasetUnknown, LedgerError
from als_assets.ledger import Replica, ReplicaState
from als_assets.platform import Platform

Als = Callable[..., Result]
RULES = {"grace_hours": 0, "first_raw": {"copies": 1, "sites": 1, "archive": False}}
RULES |= {"rules": {"scratch": {"min_age_days": 14, "raw": {"copies": 1, "sites": 1, "archive": False}}}}


@pytest.fixture
def als(store: Store, due: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Als:
    """The command on the store's record, at the store's time."""
    (tmp_path / "bl832.yaml").write_text(yaml.safe_dump({"retention": RULES}))
    parts = Platform(store.facility)
    parts.__dict__ |= {"ledger": store.ledger, "transfers": store.transfers}
    monkeypatch.setattr("als_assets.platform.platform_of", lambda _path: parts)
    return lambda *words: CliRunner().invoke(app, list(words), env={"COLUMNS": "250"}, catch_exceptions=True)


class TestPlan:
    def test_what_goes(self, als: Als) -> None:
        result = als("prune", "plan")
        assert result.exit_code == 0 and "now" in result.output and "data_scratch" in result.output
        assert (
            "14 days at a scratch location; copies at far_raw" in result.output and "Due: 1 copies, 17 B. Retention is on." in result.output
        )

    def test_one_scan_explained(self, als: Als) -> None:
        lines = als("prune", "plan", "--explain", "sand").output.splitlines()
        assert len(lines) == 3 and lines[2].startswith("raw at data_scratch: goes from 2026-03-16 12:00 UTC on")

    def test_an_unknown_scan(self, als: Als) -> None:
        assert isinstance(als("prune", "plan", "--explain", "nobody").exception, DatasetUnknown)

    def test_on_another_day(self, als: Als) -> None:
        assert "Due: 0 copies" in als("prune", "plan", "--at", "2026-03-03").output
        assert "last verified 17 days ago, limit 7" in als("prune", "plan", "--at", "2026-04-02").output

    @pytest.mark.parametrize("wrapped", [True, False])
    def test_under_another_policy(self, als: Als, tmp_path: Path, wrapped: bool) -> None:
        stricter = {**RULES, "enabled": False, "rules": {"scratch": {**RULES["rules"]["scratch"], "min_age_days": 16}}}  # type: ignore[index]
        file = tmp_path / "other.yaml"
        file.write_text(yaml.safe_dump({"retention": stricter} if wrapped else stricter))
        assert "Due: 0 copies, 0 B. Retention is OFF." in als("prune", "plan", "--policy", str(file)).output

    def test_for_scripts(self, als: Als) -> None:
        (line,) = json.loads(als("prune", "plan", "--json").output)
        assert (line["dataset_key"], line["location"], line["due"]) == ("sand", "data_scratch", "2026-03-16T12:00:00+00:00")


class TestRun:
    def test_dry_run_then_for_good(self, als: Als, store: Store, due: Replica) -> None:
        assert "would delete. dry run: nothing was deleted" in als("prune", "run", "--dry-run").output and store.where(due).exists()
        result = als("prune", "run")
        assert result.exit_code == 0 and "deleted. pruned on 2026-03-16; 1 copy remains at far_raw" in result.output
        assert store.state(due) is ReplicaState.DELETED and "Nothing is due." in als("prune", "run").output

    def test_blocked_is_told_by_the_exit_code(self, als: Als, store: Store, proof: Replica) -> None:
        store.where(proof).write_bytes(b"")
        result = als("prune", "run")
        assert result.exit_code == 1 and "did not hold when it was looked at again; nothing was deleted" in result.output

    def test_switched_off(self, als: Als, store: Store, due: Replica, tmp_path: Path) -> None:
        (tmp_path / "bl832.yaml").write_text(yaml.safe_dump({"retention": {**RULES, "enabled": False}}))
        assert "switched off" in als("prune", "run").output and store.where(due).exists()


def test_reconcile(als: Als, store: Store) -> None:
    assert als("prune", "reconcile").exit_code == 0
    store.path("far_raw", "dark.h5").write_bytes(b"x")
    result = als("prune", "reconcile")
    assert result.exit_code == 1 and "dark: dark.h5 at far_raw" in result.output and "1 do not fit" in result.output
    assert json.loads(als("prune", "reconcile", "--location", "far_raw", "--json").output)["findings"][0]["kind"] == "dark"


def test_space(als: Als) -> None:
    assert "data_scratch: " in als("prune", "space").output


class TestHolds:
    @pytest.mark.parametrize("of", [["sand"], ["--proposal", "ALS-00847"]])
    def test_held_extended_and_released(self, als: Als, store: Store, due: Replica, of: list[str]) -> None:
        result = als("hold", *of, "--reason", "paper", "--until", "2026-04-01", "--who", "ada")
        assert result.exit_code == 0 and "is held until 2026-04-01 00:00 UTC: no copy is deleted." in result.output
        assert als("prune", "run").exit_code == 0 and store.where(due).exists()
        assert "ada holds it until 2026-04-01 (paper)" in als("prune", "plan", "--explain", "sand").output
        extended = als("extend", *of, "--until", "2026-06-01", "--reason", "second review", "--who", "ada")
        assert "lasts until 2026-06-01 00:00 UTC." in extended.output
        assert "lasts until it is released." in als("extend", *of, "--reason", "for ever", "--who", "ada").output
        assert "has ended" in als("release", *of, "--reason", "published", "--who", "ada").output
        assert als("prune", "run").exit_code == 0 and not store.where(due).exists()

    @pytest.mark.parametrize("command", ["release", "extend"])
    def test_without_a_hold(self, als: Als, command: str) -> None:
        error = als(command, "sand", "--reason", "x").exception
        assert isinstance(error, LedgerError) and "No hold is in force on scan sand." in error.sentence

    @pytest.mark.parametrize("words", [["hold", "--reason", "x"], ["hold", "sand", "--proposal", "P", "--reason", "x"]])
    def test_name_one_thing(self, als: Als, words: list[str]) -> None:
        result = als(*words)
        assert result.exit_code == 2 and "name either a scan or --proposal" in result.output
