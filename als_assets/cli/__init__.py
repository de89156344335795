"""The ``als`` command: what staff, operators and scripts do without the web UI.

Here: the groups of commands put together, and exit codes (0 done, 1 it failed, 2 wrong use or configuration). Not here: any work;
each command calls a room, and each group of commands has a module of its own.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from als_assets.cli import config, copies, hold, ledger, prune, scan, scicat, serve, simulate, soak, stream, view
from als_assets.errors import AlsError, ConfigError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The data platform of ALS beamline 8.3.2.")
app.add_typer(config.app, name="config")
app.add_typer(scan.app, name="scan")
app.add_typer(copies.app, name="copy")
app.add_typer(ledger.app, name="ledger")
app.add_typer(scicat.app, name="scicat")
app.add_typer(prune.app, name="prune")
app.add_typer(simulate.app, name="simulate")
app.add_typer(stream.app, name="stream")
app.command()(hold.hold)
app.command()(hold.release)
app.command()(hold.extend)
app.command()(soak.soak)
app.command()(serve.demo)
app.command()(serve.board)
app.command()(view.view)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(serve.recon)


def main() -> None:
    """Entry point: errors are one sentence and the next step, never a stack."""
    try:
        app()
    except AlsError as error:
        Console(stderr=True).print(f"{error.sentence}\nNext step: {error.next_step}", markup=False, highlight=False)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
