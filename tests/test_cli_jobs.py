"""``als scan pin`` and ``als stream`` as staff type them, without a running site.

Here: words and exit codes. Not here: sessions themselves (``tests/compute/test_streaming``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from als_assets.cli import app
from als_assets.errors import AlsError
from als_assets.ledger import Ledger
from als_assets.ledger.datasets import NewDataset
from als_assets.ledger.job_models import ServiceSession
from als_assets.platform import platform_of
from als_assets.simulator.box import Ports, make_box

Als = Callable[..., Result]


@pytest.fixture
def facility(tmp_path: Path) -> Path:
    return make_box(tmp_path, Ports(1, 2, 3)).facility_file


@pytest.fixture
def ledger(facility: Path) -> Ledger:
    ledger = platform_of(facility).ledger
    source = {"source_location": "spot832", "source_path": "x", "release_reason": "test", "may_leave": True}
    ledger.datasets.admit(NewDataset("scan_1", "bl832", "x", "x.h5", None, 1, None, facts={}, **source))  # type: ignore[arg-type]
    return ledger


@pytest.fixture
def als(facility: Path) -> Als:
    return lambda *words: CliRunner().invoke(app, [*words, "--facility", str(facility)])


def test_a_scan_is_pinned_and_unpinned(als: Als, ledger: Ledger) -> None:
    done = als("scan", "pin", "scan_1", "als", "--reason", "memory", "--who", "dula")
    assert done.exit_code == 0 and "scan_1 is computed at als from now on" in done.output
    pin = ledger.placing.pin_of("scan_1")
    assert pin is not None and (pin.site, pin.who, pin.reason) == ("als", "dula", "memory")
    assert "not pinned any more" in als("scan", "unpin", "scan_1").output
    assert "was not pinned" in als("scan", "unpin", "scan_1").output
    assert [row.after or row.before for row in ledger.audit.of("scan_1") if row.subject == "pin of scan_1"] == ["als", "als"]


@pytest.mark.parametrize(("key", "site", "words"), [("scan_1", "mars", "cannot run jobs"), ("scan_9", "als", "scan_9")])
def test_a_pin_that_cannot_be_is_refused(als: Als, ledger: Ledger, key: str, site: str, words: str) -> None:
    done = als("scan", "pin", key, site, "--reason", "x")
    assert done.exit_code != 0 and isinstance(done.exception, AlsError) and words in done.exception.sentence


def test_status_of_no_session_and_of_one_that_ended(als: Als, ledger: Ledger) -> None:
    assert "bl832 has had no session yet" in als("stream", "status").output
    row = ServiceSession(id="s1", beamline="bl832", site="nersc", state="failed", who="dula", sentence="No GPU.", log_dir="/x")
    row.jobs, row.created_at, row.ended_at = {"list": [{"name": "a", "job_id": "7"}]}, ledger.clock(), ledger.clock()
    ledger.sessions.open(row)
    assert "s1 at nersc, started by dula: failed. No GPU." in als("stream", "status").output
    assert json.loads(als("stream", "status", "--json").output)["jobs"] == [{"job_id": "7", "name": "a"}]


@pytest.mark.parametrize("words", [("stop",), ("start", "--extend")])
def test_without_a_live_session_there_is_nothing_to_stop_or_extend(als: Als, words: tuple[str, ...]) -> None:
    done = als("stream", *words)
    assert isinstance(done.exception, AlsError) and "bl832 has no live session" in done.exception.sentence


def test_a_facility_that_offers_no_service_says_so(als: Als) -> None:
    done = als("stream", "start")
    assert isinstance(done.exception, AlsError) and "No site offers a live reconstruction" in done.exception.sentence
