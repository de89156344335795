"""Dataset keys: injective, reversible, safe everywhere. Here: the mapping alone. Not here: the ledger's list of originals."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from als_assets.beamlines.keys import KEY_PATTERN, MAX_KEY_LENGTH, is_shortened, key_for, original_stem
from als_assets.errors import ScanError

# Texts that look like escapes are rare in random texts, so they are built on purpose.
_PIECES = st.sampled_from(["_0x", "_0x2", "_0x20", "_0x20_", "_", "0x", "x20_", ".", "-", " ", "é", "A", "_0x5F_", "0123456789abcdef"])
stems = st.one_of(st.text(min_size=1), st.lists(_PIECES, min_size=1).map("".join))


@given(stems)
@example("a" * 200)
@example("a" * 201)
@example(" " * 34)
def test_key_is_safe(stem: str) -> None:
    key = key_for(stem)
    assert KEY_PATTERN.fullmatch(key)
    assert len(key) <= MAX_KEY_LENGTH
    assert not key.startswith((".", "-"))


@given(stems)
def test_round_trip(stem: str) -> None:
    key = key_for(stem)
    if is_shortened(key):
        with pytest.raises(ScanError, match="shortened"):
            original_stem(key)
    else:
        assert original_stem(key) == stem


@given(stems, stems)
@example("a b", "a_0x20_b")
@example("_0x41é", "Aé")
@example("é0x20_", "é ")
@example("x" * 300, key_for("x" * 300))
def test_injective(first: str, second: str) -> None:
    assert (key_for(first) == key_for(second)) == (first == second)


@pytest.mark.parametrize(
    "stem",
    ["20240101_120000_sand_x10", "20240101_120000_sand_x10_00001", "tooth", "a.b-c_d", "_x20_", "0", "_"],
)
def test_ordinary_scan_names_stay_as_they_are(stem: str) -> None:
    assert key_for(stem) == stem


@pytest.mark.parametrize(
    ("stem", "key"),
    [
        ("a b", "a_0x20_b"),
        ("a'b\"c", "a_0x27_b_0x22_c"),
        ("a;rm -rf $(HOME)", "a_0x3B_rm_0x20_-rf_0x20__0x24__0x28_HOME_0x29_"),
        ("a|b,c", "a_0x7C_b_0x2C_c"),
        ("..", "_0x2E_."),
        (".hidden", "_0x2E_hidden"),
        ("-rf", "_0x2D_rf"),
        ("µ", "_0xC2__0xB5_"),
        ("a_0x20_b", "a__0x30_x20_b"),
        ("a\nb\0c", "a_0x0A_b_0x00_c"),
        ("a/b", "a_0x2F_b"),
    ],
)
def test_hostile_names(stem: str, key: str) -> None:
    assert key_for(stem) == key
    assert original_stem(key) == stem


def test_bytes_that_are_no_utf8_survive() -> None:
    stem = b"scan\xff\xfe".decode("utf-8", "surrogateescape")
    assert key_for(stem) == "scan_0xFF__0xFE_"
    assert original_stem("scan_0xFF__0xFE_") == stem


def test_long_names_keep_their_beginning_and_differ_by_their_end() -> None:
    first, second = key_for("n" * 299 + "a"), key_for("n" * 299 + "b")
    assert first != second
    assert len(first) == len(second) == MAX_KEY_LENGTH
    assert re.fullmatch(r"n{181}_0x[0-9a-f]{16}", first)


def test_a_name_of_exactly_the_limit_is_kept() -> None:
    assert key_for("k" * MAX_KEY_LENGTH) == "k" * MAX_KEY_LENGTH
    assert is_shortened(key_for("k" * (MAX_KEY_LENGTH + 1)))


def test_a_name_that_imitates_a_shortened_key_is_not_one() -> None:
    imitation = "scan_0x0123456789abcdef"
    assert is_shortened(imitation)
    assert key_for(imitation) == "scan__0x30_x0123456789abcdef"
    assert not is_shortened(key_for(imitation))


def test_empty_name_is_refused() -> None:
    with pytest.raises(ScanError, match="without a name"):
        key_for("")
