"""``python -m als_assets.board``: the board as a process of its own.

Here: the command line. Not here: the pages (``app``) and the socket (``server``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from als_assets.board.server import serve
from als_assets.errors import AlsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit code 0, or 1 with a sentence on standard error when the board cannot start."""
    parser = argparse.ArgumentParser(prog="python -m als_assets.board", description="Read-only pages about every scan.")
    parser.add_argument("--facility", type=Path, required=True, help="facility file (YAML)")
    parser.add_argument("--port", type=int, default=8832)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--allow-remote", action="store_true", help="permit an address that other machines reach; the board has no login")
    chosen = parser.parse_args(arguments)
    try:
        serve(chosen.facility, chosen.host, chosen.port, allow_remote=chosen.allow_remote)
    except AlsError as error:
        sys.stderr.write(f"{error.sentence}\nNext step: {error.next_step}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
