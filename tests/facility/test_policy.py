"""The export gate: what is unknown stays, the premises are open, and a flag works at once.

Here: the answers and the refusal. Not here: who asks before a request.
"""

from __future__ import annotations

import pytest

from als_assets.errors import ExportRefused
from als_assets.facility import ExportGate, Facility, Release


@pytest.fixture
def releases() -> dict[str, Release]:
    return {"free": Release(True, "proposal ALS-1 is not under export control"), "flagged": Release(False, "staff flagged it")}


@pytest.fixture
def gate(facility: Facility, releases: dict[str, Release]) -> ExportGate:
    return ExportGate(facility, releases.get)


@pytest.mark.parametrize("site", ["nersc", "alcf", "scicat", "a site nobody knows", ""])
@pytest.mark.parametrize(("key", "reason"), [("flagged", "staff flagged it"), ("unheard-of", "nobody has said that it may leave")])
def test_flagged_and_unknown_stay(gate: ExportGate, key: str, reason: str, site: str) -> None:
    with pytest.raises(ExportRefused) as caught:
        gate.require(key, site)
    assert reason in caught.value.sentence and f"Scan {key} stays at the ALS" in caught.value.sentence
    assert f"als scan release {key}" in caught.value.next_step
    assert gate.may_leave(key, site).may_leave is False


def test_a_released_scan_passes(gate: ExportGate) -> None:
    gate.require("free", "nersc")
    assert gate.may_leave("free", "nersc").reason == "proposal ALS-1 is not under export control"


@pytest.mark.parametrize("key", ["free", "flagged", "unheard-of"])
def test_the_premises_are_open_to_all(gate: ExportGate, key: str) -> None:
    gate.require(key, "als")
    assert "on the premises" in gate.may_leave(key, "als").reason


def test_a_flag_works_at_once(gate: ExportGate, releases: dict[str, Release]) -> None:
    gate.require("free", "nersc")
    releases["free"] = Release(False, "flagged a moment ago")
    with pytest.raises(ExportRefused, match="flagged a moment ago"):
        gate.require("free", "nersc")
    releases["free"] = Release(True, "released again")
    gate.require("free", "nersc")
