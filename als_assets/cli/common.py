"""What every command shares: its options, the platform behind it, and how it prints.

Here: the option types, and what is needed around a command. Not here: any command.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from als_assets.facility.load import facility_file

if TYPE_CHECKING:  # the clients of all services take two seconds to import, and `als --help` needs none
    from als_assets.ledger.acting import Actor
    from als_assets.platform import Platform

FacilityOption = Annotated[Path | None, typer.Option("--facility", help="Facility file (default: the variable ALS_FACILITY).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
WhoOption = Annotated[str, typer.Option(envvar="USER", help="Who says so.")]


def platform_for(facility: Path | None) -> Platform:
    """The platform of a facility file. Raises ConfigError."""
    from als_assets.platform import platform_of

    return platform_of(facility or facility_file())


def actor_for(parts: Platform, command: str) -> Actor:
    """A command as one that acts: on record as a worker, so that what it leaves open is taken over only when its process is gone."""
    from als_assets.ledger.acting import Actor
    from als_assets.ledger.workers import Life

    run = f"{command} {os.getpid()} {datetime.now(UTC):%Y%m%d%H%M%S}"
    parts.ledger.workers.register(run, None)
    return Actor(run, lambda other: parts.ledger.workers.life_of(other) is Life.GONE, tell=say)


def say(value: Any) -> None:
    """Print text or a table, never interpreting what a file name may hold as markup."""
    Console(soft_wrap=True).print(value if isinstance(value, Table) else str(value), markup=False, highlight=False)
