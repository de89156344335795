"""What the whole suite prints at its end: the tables that tests report, also from the processes of xdist.

Here: the fixture ``told`` and the printing. Not here: any promise, and any fixture of one room.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

_TOLD = "told"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``told(table, row)`` adds a row to a table of the report."""
    return lambda table, row: request.node.user_properties.append((_TOLD, (table, row)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tables: dict[str, list[str]] = {}
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, value in getattr(report, "user_properties", []):
            if name == _TOLD and report.when == "call":
                tables.setdefault(value[0], []).append(value[1])
    for table, rows in sorted(tables.items()):
        terminalreporter.section(table)
        for row in rows:
            terminalreporter.write_line(row)
