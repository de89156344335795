"""What every command shares: its options, the platform behind it, and how it prints.

Here: the option types and three helpers. Not here: any command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from als_assets.facility.load import facility_file

if TYPE_CHECKING:  # the clients of all services take two seconds to import, and `als --help` needs none
    from als_assets.platform import Platform

FacilityOption = Annotated[Path | None, typer.Option("--facility", help="Facility file (default: the variable ALS_FACILITY).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
WhoOption = Annotated[str, typer.Option(envvar="USER", help="Who says so.")]


def platform_for(facility: Path | None) -> Platform:
    """The platform of a facility file. Raises ConfigError."""
    from als_assets.platform import platform_of

    return platform_of(facility or facility_file())


def say(value: Any) -> None:
    """Print text or a table, never interpreting what a file name may hold as markup."""
    Console(soft_wrap=True).print(value if isinstance(value, Table) else str(value), markup=False, highlight=False)
