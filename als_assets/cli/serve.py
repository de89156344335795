"""Commands that run something in the foreground: the demo, the board, and the numerical programs.

Here: ``als demo``, ``als board`` and ``als recon``. Not here: what they run.
"""

from __future__ import annotations

import os
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from als_assets.cli.common import FacilityOption
from als_assets.cli.picks import after_sweep, with_choices
from als_assets.facility.load import facility_file

Site = Enum("Site", {name: name for name in ("nersc", "alcf", "olcf", "local")})  # type: ignore[misc]
Fault = Enum("Fault", {name: name for name in ("job_node_fail", "job_exit_3", "submit_lost", "site_down")})  # type: ignore[misc]
REPOSITORY = Path(__file__).parent.parent.parent


def demo(
    scan: Annotated[
        Path | None, typer.Option(help="Your own HDF5 scan instead of three synthetic ones.", exists=True, dir_okay=False)
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Stop when all scans are done; the exit code counts failures.")] = False,
    state: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path(".als"),
    site: Annotated[Site | None, typer.Option(help="Make every reconstruction at this (simulated) site.")] = None,
    fault: Annotated[Fault | None, typer.Option(help="Tell the story of a failure and its recovery, with one scan.")] = None,
) -> None:
    """Run the whole platform against a simulated facility on this machine."""
    from als_assets.demo.run import DemoOptions, run_demo  # Dagster and numpy: only this command needs them

    if fault is not None and (site is not None or scan is not None):
        raise typer.BadParameter("a story chooses its own scan and sites", param_hint="--fault")
    options = DemoOptions(state.resolve(), REPOSITORY, scan, leave, site.value if site else "", fault.value if fault else "")
    console = Console() if sys.stdout.isatty() else Console(width=200)  # a log file has no width of its own
    raise typer.Exit(run_demo(options, console))


def recon(context: typer.Context) -> None:
    """Reconstruct, multires, preview or sweep a file on this machine (als recon --help)."""
    from als_assets.recon.cli import main as recon_main

    with with_choices(context.args) as arguments:
        code = recon_main(arguments)
    if code == 0 and context.args[:1] == ["sweep"]:
        after_sweep(context.args, os.environ.get("USER", "unknown"))
    raise typer.Exit(code)


def board(
    facility: FacilityOption = None,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8832,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Permit an address that others reach; it has no login.")] = False,
) -> None:
    """Serve the read-only pages beside Dagster."""
    from als_assets.board import serve as serve_board

    serve_board(facility or facility_file(), host, port, allow_remote=allow_remote)
