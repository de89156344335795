"""When a file has settled. Here: the pure rules and one real file. Not here: what the file contains."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from als_assets.beamlines.stability import Sighting, is_settled, remember, require_settled
from als_assets.errors import ScanStillWriting, ScanUnreadable

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def seen(after_s: float, size: int = 10, mtime_ns: int = 1) -> Sighting:
    return Sighting(size, mtime_ns, NOON + timedelta(seconds=after_s))


@pytest.mark.parametrize(
    ("previous", "current", "settled"),
    [
        (None, seen(100), False),
        (seen(0), seen(10), True),
        (seen(0), seen(9.9), False),
        (seen(0, size=9), seen(100), False),
        (seen(0, mtime_ns=0), seen(100), False),
        (seen(100), seen(0), False),
    ],
    ids=["first look", "quiet", "too early", "grew", "touched", "clock set back"],
)
def test_is_settled(previous: Sighting | None, current: Sighting, settled: bool) -> None:
    assert is_settled(previous, current, quiet_s=10) is settled


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1), st.integers(1, 30))
def test_remembering_the_oldest_sighting_makes_quiet_time_grow(looks: list[tuple[int, bool]], quiet_s: int) -> None:
    """Looks more frequent than the quiet time must still find a file that stopped changing."""
    kept: Sighting | None = None
    now = size = unchanged_since = 0
    for wait_s, grows in looks:
        now += wait_s
        size += grows
        current = seen(now, size=size)
        if kept is None or grows:
            unchanged_since = now
        assert is_settled(kept, current, quiet_s) == (kept is not None and not grows and now - unchanged_since >= quiet_s)
        kept = remember(kept, current)


def test_a_clock_set_back_restarts_the_quiet_time() -> None:
    assert remember(seen(100), seen(0)) == seen(0)


def test_require_settled_says_how_far_the_file_is() -> None:
    require_settled("a.h5", seen(0), seen(60), 30)
    with pytest.raises(ScanStillWriting, match=r"a\.h5 is still being written \(10 bytes") as caught:
        require_settled("a.h5", None, seen(60), 30)
    assert "30 s" in caught.value.next_step


def test_sighting_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"abc")
    os.utime(path, ns=(5, 7))
    first = Sighting.of(path, NOON)
    assert first == Sighting(3, 7, NOON)
    path.write_bytes(b"abcd")
    assert not first.same_file_state(Sighting.of(path))


def test_sighting_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ScanUnreadable, match=r"gone\.h5"):
        Sighting.of(tmp_path / "gone.h5")
