"""Parameters that staff choose for one scan: kept in the record, and used by its full run.

Here: ``als scan set-parameter``, and what ``als recon sweep --pick`` and ``als recon reconstruct`` have to do with the record. Not here:
reconstruction (``recon``, which knows no record) and the run itself (``defs``).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from als_assets.cli.common import FacilityOption, WhoOption, platform_for, say
from als_assets.errors import ConfigError
from als_assets.facility.load import facility_file

if TYPE_CHECKING:  # the record's libraries are slow to import, and `als --help` needs none
    from als_assets.ledger import Dataset, Ledger

FORGET = "default"


def set_parameter(
    key: str,
    name: Annotated[str, typer.Argument(help="A parameter's name, for instance center; see als recon parameters.")],
    value: Annotated[str, typer.Argument(help=f"Its value, or '{FORGET}' to take the choice back.")],
    who: WhoOption = "unknown",
    facility: FacilityOption = None,
) -> None:
    """Choose a reconstruction parameter for a scan: its next full run uses it, from Dagster and from the command line."""
    ledger = platform_for(facility).ledger
    _keep(ledger, ledger.datasets.get(key), name, value, who)


def after_sweep(arguments: Sequence[str], who: str) -> None:
    """A pick becomes the scan's parameter where the record knows the file; without a facility there is only the file of picks."""
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    options.add_argument("--pick")
    options.add_argument("--parameter", default="center")
    chosen, rest = options.parse_known_args(list(arguments[1:]))
    if chosen.pick is None or not facility_file().exists():
        return
    ledger = platform_for(None).ledger
    found = [dataset for text in rest if (dataset := _dataset(ledger, Path(text))) is not None]
    if found:
        _keep(ledger, found[0], chosen.parameter, chosen.pick, who)
    else:
        say("The record does not know this file, so nothing else was told of the choice.")


@contextmanager
def with_choices(arguments: Sequence[str]) -> Iterator[list[str]]:
    """The arguments of ``reconstruct``, with what was chosen for the scan unless parameters are given."""
    given = list(arguments)
    if given[:1] != ["reconstruct"] or any(a.split("=")[0] in ("--params", "--help", "-h") for a in given) or not facility_file().exists():
        yield given
        return
    from als_assets.ledger.datasets import parameters_of

    ledger = platform_for(None).ledger
    found = [dataset for text in given[1:] if (dataset := _dataset(ledger, Path(text))) is not None]
    chosen = parameters_of(found[0]) if found else {}
    if not chosen:
        yield given
        return
    say(f"Chosen for this scan: {', '.join(f'{name} = {value}' for name, value in sorted(chosen.items()))}.")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as stream:
        json.dump(chosen, stream)
        stream.flush()
        yield [*given, "--params", stream.name]


def _keep(ledger: Ledger, dataset: Dataset, name: str, text: str, who: str) -> None:
    value = None if text == FORGET else _checked(name, text)
    ledger.datasets.set_parameter(dataset.key, name, value, who=who)
    say(f"{dataset.key}: {name} = {FORGET if value is None else value} in its next full reconstruction. Materialize recon_tiff in Dagster.")


def _checked(name: str, text: str) -> Any:
    """The value as the parameter's model takes it. Raises ConfigError."""
    import yaml

    from als_assets.recon.errors import BadParameters
    from als_assets.recon.parameters import resolve

    try:
        return getattr(resolve({}, {name: yaml.safe_load(text)}, {}).parameters, name)
    except (BadParameters, yaml.YAMLError) as error:
        sentence = error.sentence if isinstance(error, BadParameters) else f"{text!r} is not a value."
        raise ConfigError(sentence, next_step="Look at the table: als recon parameters") from error


def _dataset(ledger: Ledger, path: Path) -> Dataset | None:
    """The scan of a file, by its folder and name, or by its key."""
    for beamline in platform_for(None).facility.beamlines:
        found = ledger.datasets.by_file(beamline, path.absolute().parent.name, path.name)
        if found is not None:
            return found
    return ledger.datasets.find(path.stem) if path.suffix == ".h5" else None
