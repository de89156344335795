"""Numbers read the same everywhere.

Here: sizes, durations and rates, also at the edges of their units. Not here: where they are shown.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.words import duration_words, rate_words, size_words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, "unknown size"),
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1000, "1.0 kB"),
        (1_250, "1.2 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (12_900_000_000, "12.9 GB"),
        (3_000_000_000_000, "3.0 TB"),
        (2_500_000_000_000_000, "2.5 PB"),
        (9_000_000_000_000_000_000, "9000.0 PB"),
    ],
)
def test_sizes(size_bytes: float | None, words: str) -> None:
    assert size_words(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "unknown time"),
        (0, "0.0 s"),
        (0.04, "0.0 s"),
        (9.96, "10.0 s"),
        (59.9, "59.9 s"),
        (59.96, "1 min 0 s"),
        (60, "1 min 0 s"),
        (754, "12 min 34 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7_260, "2 h 1 min"),
        (180_000, "50 h 0 min"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    ("size_bytes", "seconds", "words"),
    [
        (416_000_000, 1, "416.0 MB/s"),
        (416_000_000, 2, "208.0 MB/s"),
        (5, 10, "0 B/s"),
        (None, 1, "unknown rate"),
        (1, None, "unknown rate"),
        (0, 1, "unknown rate"),
        (1, 0, "unknown rate"),
    ],
)
def test_rates(size_bytes: float | None, seconds: float | None, words: str) -> None:
    assert rate_words(size_bytes, seconds) == words


UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}


@given(st.integers(0, 10**18))
def test_a_size_can_be_read_back_within_its_last_digit(size_bytes: int) -> None:
    number, unit = size_words(size_bytes).split()
    assert float(number) < 1000 or unit == "PB"
    assert abs(float(number) * UNITS[unit] - size_bytes) <= 0.0501 * UNITS[unit] or unit == "B"


@given(st.floats(0, 10**7))
def test_no_part_of_a_duration_is_a_whole_of_the_next(seconds: float) -> None:
    words = duration_words(seconds)
    assert all(float(n) < 60 for n in re.findall(r"([0-9.]+) (?:s|min)", words))
