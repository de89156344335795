"""``python -m als_assets.simulator --config FILE``: the simulator as a process of its own.

Here: the command line, and its errors in one sentence each. Not here: what the file may say (``config``) and how requests are
served (``server``).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from als_assets.errors import ConfigError
from als_assets.simulator.config import load_config
from als_assets.simulator.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped; 2 when the configuration is wrong."""
    parser = argparse.ArgumentParser(prog="python -m als_assets.simulator", description="The facility in a box, on loopback.")
    parser.add_argument("--config", type=Path, required=True, help="a JSON file, see als_assets/simulator/config.py")
    options = parser.parse_args(arguments)
    try:
        serve(load_config(options.config))
    except ConfigError as error:
        sys.stderr.write(f"{error.sentence} {error.next_step}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
