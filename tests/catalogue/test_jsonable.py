"""Any value as JSON. Here: every type that HDF5 and parameter files hold. Not here: which values are recorded."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.catalogue.jsonable import MAX_ITEMS, MAX_TEXT, json_object, json_value
from als_assets.catalogue.model import Issue


class Method(Enum):
    FW = "fw"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.bool_(False), False),
        (3, 3),
        (np.int16(-3), -3),
        (np.uint64(2**63), str(2**63)),
        (2**53, 2**53),
        (2**53 + 1, str(2**53 + 1)),
        (2.5, 2.5),
        (np.float32(0.5), 0.5),
        (math.nan, None),
        (np.inf, None),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (np.bytes_(b"abc"), "abc"),
        ("a\0b\udcff", "ab?"),
        (np.array(4.0), 4.0),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.array([b"a", b"b"]), ["a", "b"]),
        ({"b", "a"}, ["a", "b"]),
        ((1, "x"), [1, "x"]),
        (Method.FW, "fw"),
        (Path("/a/b"), "/a/b"),
        (datetime(2026, 3, 2, tzinfo=UTC), "2026-03-02T00:00:00.000Z"),
        (1 + 2j, "(1+2j)"),
        ({"a": {"b": None}}, {"a": {"b": None}}),
    ],
)
def test_json_value(value: Any, expected: Any) -> None:
    assert json_value(value, "x", []) == expected


def test_the_top_level_never_holds_null() -> None:
    issues: list[Issue] = []
    values = {"a": None, "b": math.nan, "c": {"d": math.inf}, "e": 1}
    assert json_object(values, "m", issues) == {"c": {"d": None}, "e": 1}
    assert [issue.field for issue in issues] == ["m.b", "m.c.d"]


def test_what_was_changed_is_listed() -> None:
    issues: list[Issue] = []
    json_object({"big": 10**30, "long": "x" * (MAX_TEXT + 1), "many": range(MAX_ITEMS + 1), "odd": object()}, "m", issues)
    assert [issue.field for issue in issues] == ["m.big", "m.long", "m.many", "m.odd"]
    assert all(issue.severity == "warning" for issue in issues)


def test_keys_that_become_the_same_are_kept_apart() -> None:
    assert json_object({"a%b": 1, "a_b": 2, "a\nb": 3, "ab": 4}, "m", []) == {"a_b": 1, "a_b-2": 2, "ab": 3, "ab-2": 4}


def test_endless_structures_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    issues: list[Issue] = []
    json.dumps(json_value(loop, "x", issues), allow_nan=False)
    assert issues


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(), st.datetimes()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=12), anything, max_size=6))
def test_any_object_is_json_that_comes_back_unchanged(values: dict[str, Any]) -> None:
    issues: list[Issue] = []
    cleaned = json_object(values, "m", issues)
    assert json.loads(json.dumps(cleaned, allow_nan=False).encode("utf-8")) == cleaned
    assert None not in cleaned.values()
    assert json_object(cleaned, "m", issues) == cleaned, "a second cleaning changes nothing"
