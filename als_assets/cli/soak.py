"""``als soak``: a simulated month of retention, with faults, and every promise checked at every simulated hour.

Here: the command and its table. Not here: the month (``soak``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from als_assets.cli.common import say

if TYPE_CHECKING:  # the record's libraries are slow to import, and `als --help` needs none
    from als_assets.soak import Summary


def soak(
    scans: Annotated[int, typer.Option(min=1, help="Scans in the month.")] = 5000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same month.")] = 1,
    hours: Annotated[int, typer.Option(min=48, help="Simulated hours.")] = 720,
    parts: Annotated[int, typer.Option(min=1, help="Beamlines side by side, each a process with its own record, sharing the scans.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the summary here.")] = None,
) -> None:
    """Live through a month with pruning on; exit code 0 only if no promise was broken."""
    from als_assets.soak import Month, run_months

    summary = run_months([Month(size, seed + i, hours) for i, size in enumerate(_shares(scans, parts))], tell=say)
    if json_file is not None:
        json_file.write_text(json.dumps(summary.as_json(), indent=1))
    say(_table(summary))
    for sentence in summary.broken[:20]:
        say(f"BROKEN: {sentence}")
    say(f"{len(summary.broken)} promises were broken." if summary.broken else "Every promise was kept.")
    raise typer.Exit(1 if summary.broken else 0)


def _shares(scans: int, parts: int) -> list[int]:
    """So many scans for each part, as even as possible, none empty."""
    return [share for i in range(parts) if (share := scans // parts + (i < scans % parts))]


def _table(summary: Summary) -> Table:
    table = Table("what", "number")
    rows = {"scans": summary.scans, "simulated hours": summary.hours, "seconds": summary.seconds, "checks": summary.checks}
    rows |= {"deletions asked for": summary.deletions_asked, "power cuts": summary.power_cuts}
    rows |= {"scans that the world destroyed": summary.lost_scans}
    for title, counts in (
        ("copy", summary.copies),
        ("prune", summary.outcomes),
        ("fault", summary.faults),
        ("act refused", summary.refused),
    ):
        rows |= {f"{title}: {name}": number for name, number in sorted(counts.items())}
    for name, number in rows.items():
        table.add_row(name, str(number))
    return table
