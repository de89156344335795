"""One slice for several values of one parameter, side by side, so that a person can pick the best.

Here: the values, the slices by the same chain as the full run, the contact sheet, and the file that keeps a pick. What belongs here is
choosing by eye. Not here: drawing (``pictures.py``) and who else is told of the pick (the platform's ``als recon sweep``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from als_assets.recon import CONTRACT_VERSION
from als_assets.recon.chain import Chain, Corrector, find_center, pixel_size_mm
from als_assets.recon.engine import Images
from als_assets.recon.errors import BadParameters, explained_output
from als_assets.recon.gridding import GriddingEngine
from als_assets.recon.machine import cores
from als_assets.recon.output import write_atomically
from als_assets.recon.parameters import Parameters, Resolved, load_yaml, resolve
from als_assets.recon.progress import Say
from als_assets.recon.projections import Source, needed, prepared
from als_assets.recon.reconstruct import Summary
from als_assets.recon.scan import Scan
from als_assets.recon.views.look import liveliest
from als_assets.recon.views.pictures import contact_sheet, grey, save, window

PICKS = "parameters.yaml"
MOST = 36  # pictures on a sheet that an eye can still compare
_DETAIL = 480  # pixels of the slice's part that is shown
_ENGINE = GriddingEngine(lanes=2)  # one slice at a time: wide vectors would only cost memory


def values_between(first: float, last: float, steps: int) -> list[float]:
    """``steps`` evenly spaced values, both ends included. Raises BadParameters."""
    if not 2 <= steps <= MOST:
        raise BadParameters(f"--steps {steps} is not between 2 and {MOST}.", next_step="Show fewer values at a time.")
    return [round(float(value), 6) for value in np.linspace(first, last, steps)]


def values_of(text: str) -> list[Any]:
    """Values separated by commas, numbers as numbers. Raises BadParameters for fewer than two."""
    values = [yaml.safe_load(part.strip()) for part in text.split(",") if part.strip()]
    if not 2 <= len(values) <= MOST:
        raise BadParameters(f"--values {text!r} are not between 2 and {MOST} values.", next_step="Separate values by commas.")
    return values


def sweep(source: Path, into: Path, resolved: Resolved, name: str, values: Sequence[Any], row: int | None, say: Say) -> Summary:
    """Writes ``sweep_<name>.jpg`` and ``sweep_<name>.json`` into ``into``: row ``row`` (default: the middle one) for each value.

    Corrections of whole projections (phase, tilt, sparks) are made anew for every value, which takes as long as in a full run. Raises
    BadParameters and the errors of input and output.
    """
    started = time.monotonic()
    trials = [_with(resolved, name, value) for value in values]
    with Scan(source) as scan, explained_output(into):
        into.mkdir(parents=True, exist_ok=True)
        row = scan.shape.rows // 2 if row is None else row
        if not 0 <= row < scan.shape.rows:
            raise BadParameters(f"The scan has rows 0 to {scan.shape.rows - 1}, not {row}.", next_step="Give another --row.")
        images = []
        for trial, value in zip(trials, values, strict=True):
            images.append(_slice(scan, trial, row, into, say))
            say(f"{name} {_label(value)} done, {len(images)} of {len(values)}")
        details = _details(images)
        shown = window(np.concatenate([detail.ravel() for detail in details]))
        header = f"{name} in row {row}; black {shown[0]:.3g}, white {shown[1]:.3g} 1/cm"
        tiles, labels = [grey(detail, *shown) for detail in details], [_label(value) for value in values]
        size = save(lambda longest: contact_sheet(tiles, labels, header, longest=longest), into / f"sweep_{name}.jpg", 1280)
        record = {
            "contract": CONTRACT_VERSION,
            "parameter": name,
            "values": list(values),
            "row": row,
            "image": {"width_px": size[0], "height_px": size[1]},
        }
        write_atomically(into / f"sweep_{name}.json", json.dumps(record, indent=1).encode())
    files = [into / f"sweep_{name}.jpg", into / f"sweep_{name}.json"]
    return Summary(files[0], len(files), sum(path.stat().st_size for path in files), time.monotonic() - started)


def pick(into: Path, name: str, text: str) -> Any:
    """Notes a value in ``into/parameters.yaml``, which ``--params`` takes; earlier picks of other parameters stay. Returns the value.

    Raises BadParameters for a name or value that no reconstruction would take.
    """
    value = getattr(resolve({}, {name: yaml.safe_load(text)}, {}).parameters, name)
    place = into / PICKS
    with explained_output(into):
        into.mkdir(parents=True, exist_ok=True)
        content = {**(load_yaml(place) if place.exists() else {}), name: value}
        write_atomically(place, yaml.safe_dump(content, sort_keys=True).encode())
    return value


def around_center(source: Path, resolved: Resolved, steps: int) -> list[float]:
    """Centres about the estimate, as the preview shows them."""
    with Scan(source) as scan:
        found = find_center(scan, Corrector(scan, resolved.parameters.transmission_floor), resolved.parameters.center).value
        step = max(0.5, scan.shape.columns / 1280)
    return values_between(found - step * (steps - 1) / 2, found + step * (steps - 1) / 2, steps)


def _with(resolved: Resolved, name: str, value: Any) -> Parameters:
    return resolve({}, {**resolved.parameters.model_dump(), name: value}, {}).parameters


def _slice(scan: Scan, parameters: Parameters, row: int, into: Path, say: Say) -> Images:
    with _source(scan, parameters, into, say) as ready:
        corrector = Corrector(ready, parameters.transmission_floor)
        center = find_center(ready, corrector, parameters.center).value
        image: Images = Chain(ready, parameters, corrector, center, _ENGINE).worker().slices(row, row + 1, cores())[0].copy()
    return image


@contextmanager
def _source(scan: Scan, parameters: Parameters, into: Path, say: Say) -> Iterator[Source]:
    if not needed(parameters):
        yield scan
        return
    marks = {"sweep": parameters.model_dump()}
    with prepared(scan, parameters, pixel_size_mm(scan, parameters), into / "sweep.projections", marks, cores(), say) as ready:
        yield ready


def _details(images: Sequence[Images]) -> list[Images]:
    """The same part of every slice, seen from the axis; slices of stitched scans differ in width."""
    middle = images[len(images) // 2]
    n = min(image.shape[0] for image in images)
    side = min(n, _DETAIL)
    start = middle.shape[0] // 2 - n // 2
    rows, columns = liveliest(middle[start : start + n, start : start + n], side)
    found = []
    for image in images:
        shift = image.shape[0] // 2 - n // 2
        found.append(image[rows.start + shift : rows.stop + shift, columns.start + shift : columns.stop + shift])
    return found


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1000 else f"{value:.2f}" if isinstance(value, float) else str(value)
