"""What differs from SciCat's record. Here: the pure comparison. Not here: requests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from catalogue_samples import derived, raw

from als_assets.catalogue.compare import differences
from als_assets.catalogue.model import INGEST


def stored(body: dict[str, Any]) -> dict[str, Any]:
    """The record as a SciCat gives it back: with defaults, SI units, and times in its own form."""
    kept = deepcopy(body)
    kept.update(size=5, numberOfFiles=1, createdAt="2026-03-02T18:31:00.000Z", datasetlifecycle={"archivable": True}, history=[])
    for value in kept["scientificMetadata"].values():
        if isinstance(value, dict) and "unit" in value:
            value.update(valueSI=3.25e-06, unitSI="m")
    for technique in kept.get("techniques", []):
        technique["_id"] = "65f0"
    return kept


@pytest.mark.parametrize("make", [raw, derived])
def test_what_was_written_does_not_differ(make: Any) -> None:
    body = make().body()
    assert differences(body, stored(body)) == {}


@pytest.mark.parametrize(
    "time",
    ["2026-03-02T18:30:00.000Z", "2026-03-02T18:30:00Z", "2026-03-02T10:30:00-08:00", "2026-03-02T18:30:00.000400+00:00"],
)
def test_the_same_moment_is_the_same_time(time: str) -> None:
    body = raw().body()
    assert differences(body, {**stored(body), "creationTime": time}) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", "Somebody Else"),
        ("creationTime", "2026-03-02T19:30:00Z"),
        ("creationTime", "yesterday"),
        ("creationTime", None),
        ("proposalId", None),
        ("techniques", []),
        ("techniques", [{"pid": "x", "name": "y"}]),
    ],
)
def test_a_changed_field_is_sent_alone(field: str, value: object) -> None:
    body = raw().body()
    assert differences(body, {**stored(body), field: value}) == {field: body[field]}


@pytest.mark.parametrize(("field", "value"), [("pid", "other"), ("type", "derived"), ("isPublished", True), ("size", 9)])
def test_some_fields_are_not_ours_to_change(field: str, value: object) -> None:
    body = raw().body()
    assert differences(body, {**stored(body), field: value}) == {}


@pytest.mark.parametrize("field", ["accessGroups", "keywords"])
def test_what_staff_added_stays(field: str) -> None:
    body = raw().body()
    theirs = stored(body)
    theirs[field] = ["added by staff", *reversed(body[field])]
    assert differences(body, theirs) == {}
    theirs[field] = ["added by staff"]
    assert differences(body, theirs) == {field: ["added by staff", *body[field]]}


def test_metadata_is_replaced_as_a_whole_and_keeps_what_others_added() -> None:
    body = raw().body()
    theirs = stored(body)
    theirs["scientificMetadata"]["comment of staff"] = "nice"
    assert differences(body, theirs) == {}
    theirs["scientificMetadata"]["geometry"] = {"rows": 1}
    sent = differences(body, theirs)["scientificMetadata"]
    assert sent["geometry"] == body["scientificMetadata"]["geometry"]
    assert sent["comment of staff"] == "nice"


def test_the_creators_mark_is_never_changed() -> None:
    body = raw().body()
    theirs = stored(body)
    theirs["scientificMetadata"][INGEST] = {"attempt": "first"}
    body["scientificMetadata"][INGEST] = {"attempt": "second"}
    assert differences(body, theirs) == {}
    body["scientificMetadata"]["new"] = 1
    assert differences(body, theirs)["scientificMetadata"][INGEST] == {"attempt": "first"}


def test_v3_may_show_the_investigator_under_another_name() -> None:
    body = derived().body()
    theirs = stored(body)
    theirs["principalInvestigator"] = theirs.pop("investigator")
    assert differences(body, theirs) == {}


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (1.973654725119181e16, 19736547251191810, True),
        (1.973654725119181e16, 19736547251191820, False),
        (1, True, False),
        ("1", 1, False),
        ([1], 1, False),
    ],
)
def test_values(ours: object, theirs: object, same: bool) -> None:
    assert (differences({"scientificMetadata": {"x": ours}}, {"scientificMetadata": {"x": theirs}}) == {}) is same


def test_a_record_without_metadata_gets_it() -> None:
    assert differences({"scientificMetadata": {"x": 1}}, {"scientificMetadata": None}) == {"scientificMetadata": {"x": 1}}


def test_a_null_of_somebody_else_does_not_go_back() -> None:
    theirs = {"scientificMetadata": {"x": 1, "theirs": 2, "nothing": None}}
    assert differences({"scientificMetadata": {"x": 1}}, theirs) == {"scientificMetadata": {"x": 1, "theirs": 2}}
