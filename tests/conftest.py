"""What the whole suite shares: its order, and the tables that tests report, printed at the end also from the processes of xdist.

Here: the fixture ``told``, its printing, the order of files, and closing what a module opened. Not here: any promise, and any fixture
of one room.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import certificates

_TOLD = "told"
# Files that start a whole platform, which mostly waits. They are spread over the suite, so that two of them run beside other tests
# (see `make test`), and none is left for the end, when it would run alone.
_PLATFORMS = ["e2e/test_path.py", "e2e/test_crashes.py", "e2e/test_faults.py", "e2e/test_browser.py", "e2e/test_demo.py"]
_BEGIN_AT = [0.0, 0.0, 0.3, 0.35, 0.6]  # of the other files


def pytest_configure(config: pytest.Config) -> None:
    """All programs that tests start share compiled code; compiling it anew for each simulated facility took minutes."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(config.rootpath / ".pytest_cache" / "numba"))
    certificates.read_once()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path.relative_to(Path(__file__).parent).as_posix(), []).append(item)
    order = [name for name in files if name not in _PLATFORMS]
    others = len(order)
    for moved, (name, share) in enumerate(zip(_PLATFORMS, _BEGIN_AT, strict=True)):
        order.insert(int(share * others) + moved, name)
    items[:] = [item for name in order for item in files.get(name, [])]


@pytest.fixture(scope="module", autouse=True)
def _platforms_are_closed() -> Iterator[None]:
    """A socket that is left to the garbage collector makes some later test fail."""
    yield
    platform = sys.modules.get("als_assets.platform")  # not imported for the sake of modules that have nothing to do with it
    if platform is not None:
        platform.close_platforms()


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
