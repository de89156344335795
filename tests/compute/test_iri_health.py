"""A site's health from the API's documents, and the end of a token by its own words."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.compute.iri.health import health_of
from als_assets.compute.iri.tokens import expiry_in

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def incident(begin_h: float, end_h: float | None, **fields: Any) -> dict[str, Any]:
    end = None if end_h is None else (NOW + timedelta(hours=end_h)).isoformat().replace("+00:00", "Z")
    start = (NOW + timedelta(hours=begin_h)).isoformat()
    return {"type": "planned", "status": "down", "resolution": "pending", "start": start, "end": end, **fields}


@pytest.mark.parametrize(
    ("status", "ok", "words"),
    [("up", True, "is up."), ("degraded", True, "is up, but degraded."), ("down", False, "is down."), ("unknown", False, "does not say")],
)
def test_the_status_alone(status: str, ok: bool, words: str) -> None:
    health = health_of({"current_status": status}, [], NOW, "OLCF")

    assert health.ok is ok
    assert words in health.sentence


def test_a_resource_that_says_nothing_is_not_ok() -> None:
    assert not health_of({}, [], NOW, "OLCF").ok


def test_the_next_outage_is_told_before_it_begins() -> None:
    health = health_of({"current_status": "up"}, [incident(48, 60), incident(24, 30)], NOW, "OLCF")

    assert (health.ok, health.outage_from, health.outage_to) == (True, NOW + timedelta(hours=24), NOW + timedelta(hours=30))


@pytest.mark.parametrize("end_h", [3, None])
def test_a_planned_outage_that_has_begun_closes_the_site_whatever_its_status(end_h: float | None) -> None:
    health = health_of({"current_status": "up"}, [incident(-1, end_h)], NOW, "OLCF")

    assert not health.ok
    assert health.outage_from == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    "over",
    [
        incident(-9, -1),
        incident(-9, 3, resolution="completed"),
        incident(-9, 3, resolution="cancelled"),
        incident(3, 4, type="reservation"),
        incident(3, 4, status="up"),
        incident(3, 4, start="soon"),
        incident(3, 4, start=None),
    ],
)
def test_what_is_over_or_no_outage_is_not_told(over: dict[str, Any]) -> None:
    health = health_of({"current_status": "up"}, [over], NOW, "OLCF")

    assert health.ok and health.outage_from is None


def test_what_goes_wrong_now_is_told() -> None:
    wrong = incident(-1, None, type="unplanned", resolution="unresolved", description="The file system is slow.\nPlease wait.")

    assert health_of({"current_status": "degraded"}, [wrong], NOW, "OLCF").sentence == (
        "OLCF is up, but degraded; The file system is slow. Please wait."
    )


@given(st.dictionaries(st.sampled_from(["start", "end", "type", "status", "resolution"]), st.none() | st.text(max_size=8) | st.integers()))
def test_no_incident_however_odd_is_an_error(odd: dict[str, Any]) -> None:
    assert health_of({"current_status": "up"}, [odd], NOW, "OLCF").sentence.startswith("OLCF is up")


def token(claims: Any) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


def test_a_token_tells_its_end() -> None:
    assert expiry_in(token({"exp": NOW.timestamp()})) == NOW


@pytest.mark.parametrize(
    "text", ["opaque", "a.b.c", "a..c", token({}), token([1]), token({"exp": "soon"}), token({"exp": None}), token({"exp": 1e30})]
)
def test_a_token_that_does_not(text: str) -> None:
    assert expiry_in(text) is None
