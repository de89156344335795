"""The command line of the numerical programs: options, progress, one-line errors and the JSON summary.

Here: words between a person or a job script and the programs. What belongs here is parsing and printing. Not here: any work,
see ``reconstruct.py``, ``multires.py`` and ``preview.py``. Exit codes are in ``errors.py``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from als_assets.recon.errors import ReconError, exit_code_table

if TYPE_CHECKING:
    from als_assets.recon.parameters import Resolved
    from als_assets.recon.reconstruct import Summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; 0 means that the output is complete and was read back."""
    options = _parser().parse_args(argv)
    _place_for_compiled_code()
    try:
        summary: Summary = options.run(options)
    except ReconError as error:
        sys.stderr.write(f"{error.sentence} {error.next_step}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Run the same command again to go on where it stopped.\n")
        return 130
    facts = {
        "output": str(summary.output),
        "files": summary.files,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 3),
        "center": summary.center,
    }
    say(json.dumps(facts))
    return 0


def say(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    codes = ", ".join(f"{code} {name}" for name, code in exit_code_table().items())
    parser = argparse.ArgumentParser(
        prog="python -m als_assets.recon",
        description="Tomographic reconstruction of one scan, where the data is.",
        epilog=f"Exit codes: 0 complete and read back, 1 program fault, 2 wrong use, 130 interrupted, {codes}.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("reconstruct", help="slices as TIFF, one file a detector row, values in 1/cm")
    _scan_options(command)
    command.add_argument("--name", help="name of the result (default: the scan's file name without its ending)")
    command.add_argument("--memory", metavar="GB", type=float, help="memory budget (default: 70 %% of what is free)")
    command.add_argument("--engine", choices=("auto", "vector", "plain"), default="auto", help="kind of inner loops")
    command.set_defaults(run=_reconstruct)
    command = commands.add_parser("multires", help="OME-Zarr pyramid of a directory of slices")
    command.add_argument("folder", metavar="DIR", type=Path, help="directory written by reconstruct")
    command.add_argument("--raw", required=True, type=Path, metavar="SCAN.h5", help="scan file, for the pixel size")
    command.add_argument("--output", type=Path, metavar="STORE.zarr", help="default: DIR.zarr")
    command.set_defaults(run=_multires)
    command = commands.add_parser("preview", help="pictures, nine centres and an estimate of the time")
    _scan_options(command)
    command.set_defaults(run=_preview)
    return parser


def _scan_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("scan", metavar="SCAN.h5", type=Path, help="scan file in the 8.3.2 layout")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="directory for the results")
    command.add_argument("--params", type=Path, metavar="FILE.yaml", help="parameters, one key: value a line")
    command.add_argument("--center", metavar="auto|pc|vo|PIXELS", help="centre of rotation; overrules all other sources")


def _resolved(options: argparse.Namespace) -> Resolved:
    from als_assets.recon.parameters import load_yaml, resolve
    from als_assets.recon.scan import Scan

    with Scan(options.scan) as scan:
        wishes = scan.wishes
    given = load_yaml(options.params) if options.params else {}
    return resolve(wishes, given, {} if options.center is None else {"center": _center(options.center)})


def _center(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _reconstruct(options: argparse.Namespace) -> Summary:
    from als_assets.recon.reconstruct import reconstruct

    memory = None if options.memory is None else int(options.memory * 1e9)
    return reconstruct(options.scan, options.output, _resolved(options), options.name, say, memory, options.engine)


def _multires(options: argparse.Namespace) -> Summary:
    from als_assets.recon.multires import multires

    return multires(options.folder, options.raw, options.output, say)


def _preview(options: argparse.Namespace) -> Summary:
    from als_assets.recon.preview import preview

    return preview(options.scan, options.output, _resolved(options), say)


def _place_for_compiled_code() -> None:
    """Where the package itself is read-only (containers), compiled loops are kept in a private temporary directory."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return
    place = Path(tempfile.gettempdir()) / f"als-recon-numba-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    facts = place.lstat()
    private = facts.st_uid == os.getuid() and not facts.st_mode & 0o077 and place.is_dir() and not place.is_symlink()
    os.environ["NUMBA_CACHE_DIR"] = str(place) if private else tempfile.mkdtemp(prefix="als-recon-numba-")
