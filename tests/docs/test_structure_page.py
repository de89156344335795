"""The states drawn in the documentation are those of the code.

Here: that comparison. Not here: the error pages (``test_error_pages``).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from als_assets.ledger.states import OPERATION_MOVES, REPLICA_MOVES

PAGE = Path(__file__).parent.parent.parent / "docs" / "developers" / "structure.md"


def rows(table: dict[StrEnum, frozenset[StrEnum]]) -> list[str]:
    return [f"| {old} | {', '.join(sorted(news)) or 'nothing: final'} |" for old, news in table.items()]


def test_state_tables_equal_the_code() -> None:
    drawn = PAGE.read_text().split("<!-- states:begin -->")[1].split("<!-- states:end -->")[0]
    found = [line for line in drawn.splitlines() if line.startswith("| ") and not line.startswith("| from")]
    assert found == rows(dict(REPLICA_MOVES)) + rows(dict(OPERATION_MOVES))
