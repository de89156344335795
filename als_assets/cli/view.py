"""``als view``: a volume on this machine in the browser.

Here: the command. Not here: the pages and bytes (``board``).
"""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from als_assets.cli.common import say


def view(
    path: Annotated[Path, typer.Argument(help="An OME-Zarr store: the folder that ends in .zarr.")],
    port: Annotated[int, typer.Option(help="Port to listen on (default: a free one).")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Show a multi-resolution volume in the browser, until Ctrl-C."""
    from als_assets.board.standalone import serve_store  # the web server: only this command needs it

    def ready(address: str) -> None:
        say(f"{path} is shown at {address} until you press Ctrl-C.")
        if browser:
            webbrowser.open(address)

    serve_store(path, port, ready)
