"""``als config``: check configuration files before they are in force.

Here: the commands. Not here: what is right or wrong in a file (``facility``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from als_assets.cli.common import say
from als_assets.facility.blanks import not_set_up
from als_assets.facility.load import facility_file, load_facility, load_model
from als_assets.facility.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Check configuration files.")


@app.command("check")
def config_check(path: Annotated[Path | None, typer.Argument(help="Facility file (default: the one in force).")] = None) -> None:
    """Check a facility file and the settings it names; print what is wrong with file, line and reason."""
    chosen = path or facility_file()
    facility = load_facility(chosen)
    for name, setup in facility.beamlines.items():
        load_model(setup.settings, Settings)
        say(f"{name}: settings {setup.settings.name} are right.")
    for site in facility.sites:
        if blanks := not_set_up(facility, site):
            say(f"{site}: no jobs are sent there. {blanks}.")
    say(f"{chosen}: right ({len(facility.sites)} sites, {len(facility.locations)} locations).")
