"""Commands that run something in the foreground: the demo, the board, and the numerical programs.

Here: ``als demo``, ``als board`` and ``als recon``. Not here: what they run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from als_assets.cli.common import FacilityOption
from als_assets.facility.load import facility_file

REPOSITORY = Path(__file__).parent.parent.parent


def demo(
    scan: Annotated[
        Path | None, typer.Option(help="Your own HDF5 scan instead of three synthetic ones.", exists=True, dir_okay=False)
    ] = None,
    leave: Annotated[bool, typer.Option("--exit", help="Stop when all scans are done; the exit code counts failures.")] = False,
    state: Annotated[Path, typer.Option(help="Folder for everything the demo writes.")] = Path(".als"),
) -> None:
    """Run the whole platform against a simulated facility on this machine."""
    from als_assets.demo.run import DemoOptions, run_demo  # Dagster and numpy: only this command needs them

    options = DemoOptions(state_dir=state.resolve(), repository=REPOSITORY, scan=scan, leave=leave)
    console = Console() if sys.stdout.isatty() else Console(width=200)  # a log file has no width of its own
    raise typer.Exit(run_demo(options, console))


def recon(context: typer.Context) -> None:
    """Reconstruct, multires or preview a file on this machine (als recon --help)."""
    from als_assets.recon.cli import main as recon_main

    raise typer.Exit(recon_main(context.args))


def board(
    facility: FacilityOption = None,
    host: str = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8832,
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Permit an address that others reach; it has no login.")] = False,
) -> None:
    """Serve the read-only pages beside Dagster."""
    from als_assets.board import serve as serve_board

    serve_board(facility or facility_file(), host, port, allow_remote=allow_remote)
