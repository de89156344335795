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

from als_assets.recon.errors import BadParameters, ReconError, exit_code_table
from als_assets.recon.machine import keep_freed_memory, share_cores_among_our_threads

if TYPE_CHECKING:
    from als_assets.recon.parameters import Resolved
    from als_assets.recon.reconstruct import Summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; 0 means that the output is complete and was read back."""
    options = _parser().parse_args(argv)
    share_cores_among_our_threads()
    keep_freed_memory()
    _place_for_compiled_code()
    try:
        summary: Summary | None = options.run(options)
    except ReconError as error:
        sys.stderr.write(f"{error.sentence} {error.next_step}\n")
        return error.exit_code
    except MemoryError:
        sys.stderr.write("The machine has not enough free memory for this work. Run again with a smaller --memory, or elsewhere.\n")
        return exit_code_table()["NotEnoughMemory"]
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. Run the same command again to go on where it stopped.\n")
        return 130
    if summary is not None:
        say(json.dumps(_facts(summary)))
    return 0


def _facts(summary: Summary) -> dict[str, Any]:
    """The last line of the output."""
    facts: dict[str, Any] = {
        "output": str(summary.output),
        "files": summary.files,
        "bytes": summary.bytes,
        "seconds": round(summary.seconds, 3),
        "center": summary.center,
    }
    if summary.others:
        facts["also"] = [{"output": str(other.path), "files": other.files, "bytes": other.bytes} for other in summary.others]
    return facts


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
    _result_options(command)
    command.set_defaults(run=_reconstruct)
    command = commands.add_parser("multires", help="OME-Zarr pyramid of a directory of slices")
    command.add_argument("folder", metavar="DIR", type=Path, help="directory written by reconstruct")
    command.add_argument("--raw", type=Path, metavar="SCAN.h5", help="scan file, for the pixel size where DIR does not tell it")
    command.add_argument("--output", type=Path, metavar="STORE.zarr", help="default: DIR.zarr")
    _store_options(command)
    command.set_defaults(run=_multires)
    command = commands.add_parser("parameters", help="the table of all parameters")
    command.set_defaults(run=_parameters)
    command = commands.add_parser("preview", help="pictures, nine centres and an estimate of the time")
    _scan_options(command)
    command.set_defaults(run=_preview)
    command = commands.add_parser("sweep", help="one slice for several values of a parameter side by side, and a pick")
    _scan_options(command)
    _sweep_options(command)
    command.set_defaults(run=_sweep)
    return parser


def _result_options(command: argparse.ArgumentParser) -> None:
    kind = command.add_mutually_exclusive_group()
    for result, text in (("tiff", "TIFF files (default)"), ("zarr", "OME-Zarr straight from memory, no TIFF"), ("both", "both at once")):
        kind.add_argument(f"--{result}", dest="result", action="store_const", const=result, help=text)
    _store_options(command)
    command.set_defaults(result="tiff")


def _store_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--zarr-format", choices=("0.4", "0.5"), default="0.4", help="version of OME-Zarr (default: 0.4)")
    command.add_argument("--zarr-pixels", choices=("float32", "uint16"), default="float32", help="pixels of the store")


def _sweep_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--parameter", default="center", metavar="NAME", help="what varies (default: center); see the command parameters")
    command.add_argument("--from", dest="first", type=float, metavar="VALUE", help="first value (default for center: about the estimate)")
    command.add_argument("--to", dest="last", type=float, metavar="VALUE", help="last value")
    command.add_argument("--steps", type=int, default=9, metavar="N", help="how many values (default: 9)")
    command.add_argument("--values", metavar="A,B,...", help="these values, for parameters that are words or whole numbers")
    command.add_argument("--row", type=int, help="detector row of the slice (default: the middle one)")
    command.add_argument("--pick", metavar="VALUE", help="the best value: it is kept in parameters.yaml for --params; no pictures are made")


def _scan_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("scan", metavar="SCAN.h5", type=Path, help="scan file in the 8.3.2 layout")
    command.add_argument("--output", required=True, type=Path, metavar="DIR", help="directory for the results")
    command.add_argument("--params", type=Path, metavar="FILE.yaml", help="parameters of this run, one key: value a line")
    command.add_argument("--settings", type=Path, metavar="FILE.yaml", help="parameters for every scan, overruled by --params")
    command.add_argument("--center", metavar="auto|pc|vo|image|overlap|PIXELS", help="centre of rotation; overrules all other sources")


def _resolved(options: argparse.Namespace) -> Resolved:
    from als_assets.recon.parameters import load_yaml, resolve
    from als_assets.recon.scan import Scan

    with Scan(options.scan) as scan:
        wishes = scan.wishes
    given = load_yaml(options.params) if options.params else {}
    settings = load_yaml(options.settings) if options.settings else {}
    return resolve(wishes, given, {} if options.center is None else {"center": _center(options.center)}, settings)


def _center(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _reconstruct(options: argparse.Namespace) -> Summary:
    from als_assets.recon.reconstruct import Options, reconstruct

    how = Options(
        memory_bytes=None if options.memory is None else int(options.memory * 1e9),
        engine=options.engine,
        tiff=options.result != "zarr",
        zarr=options.result != "tiff",
        zarr_format=options.zarr_format,
        zarr_pixels=options.zarr_pixels,
    )
    return reconstruct(options.scan, options.output, _resolved(options), options.name, say, how)


def _parameters(options: argparse.Namespace) -> None:
    from als_assets.recon.parameter_help import markdown_table

    say(markdown_table())


def _multires(options: argparse.Namespace) -> Summary:
    from als_assets.recon.volume.multires import multires
    from als_assets.recon.volume.zarr_store import Form

    return multires(options.folder, options.raw, options.output, say, Form(options.zarr_format, options.zarr_pixels))


def _preview(options: argparse.Namespace) -> Summary:
    from als_assets.recon.views.preview import preview

    return preview(options.scan, options.output, _resolved(options), say)


def _sweep(options: argparse.Namespace) -> Summary | None:
    from als_assets.recon.views import sweep

    if options.pick is not None:
        value = sweep.pick(options.output, options.parameter, options.pick)
        say(f"{options.parameter} = {value} is kept; use it with --params {options.output / sweep.PICKS}")
        return None
    resolved = _resolved(options)
    if options.values is not None:
        values = sweep.values_of(options.values)
    elif options.first is not None and options.last is not None:
        values = sweep.values_between(options.first, options.last, options.steps)
    elif options.parameter == "center":
        values = sweep.around_center(options.scan, resolved, options.steps)
    else:
        raise BadParameters(f"No values of {options.parameter} were given.", next_step="Give --from and --to, or --values.")
    return sweep.sweep(options.scan, options.output, resolved, options.parameter, values, options.row, say)


def _place_for_compiled_code() -> None:
    """Where the package itself is read-only (containers), compiled loops are kept in a private temporary directory."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return
    place = Path(tempfile.gettempdir()) / f"als-recon-numba-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    facts = place.lstat()
    private = facts.st_uid == os.getuid() and not facts.st_mode & 0o077 and place.is_dir() and not place.is_symlink()
    os.environ["NUMBA_CACHE_DIR"] = str(place) if private else tempfile.mkdtemp(prefix="als-recon-numba-")
