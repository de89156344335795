"""The parameters of a reconstruction, with units, bounds and help texts, and where their values come from.

Here: one pydantic model, the resolution defaults < scan file < parameters file < command line, and the record of what was
ignored. What belongs here is anything a person may choose. Not here: values derived from the data, see ``center.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from als_assets.recon.errors import BadParameters, InputUnreadable

CenterMethod = Literal["auto", "pc", "vo"]
FilterName = Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "parzen", "butterworth"]
RingMethod = Literal["none", "fourier-wavelet", "smoothing", "sorting"]

# Names under which users of the beamline's control program wrote the same thing into the scan file.
_SCAN_ALIASES = {"ring_removal_method": "ring_removal", "filter_name": "filter", "rotation_center": "center", "cor": "center"}
_SCAN_VALUES = {"fw": "fourier-wavelet", "sf": "smoothing", "ramlak": "ramp", "shepp": "shepp-logan", "no": "none", "false": "none"}


class Parameters(BaseModel):
    """Everything a person can choose about a reconstruction. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    center: CenterMethod | Annotated[float, Field(ge=-10_000, le=100_000, allow_inf_nan=False)] = Field(
        default="auto",
        description="Rotation axis: auto, pc (phase correlation of a 0/180 pair), vo (sinogram method) or detector column in pixels.",
    )
    filter: FilterName = Field(default="ramp", description="Window on the ramp filter; ramp keeps all detail and all noise.")
    filter_cutoff: float = Field(
        default=0.25, gt=0, le=0.5, description="Cut-off of the butterworth filter, in cycles per pixel (0.5 is the Nyquist limit)."
    )
    filter_order: int = Field(default=2, ge=1, le=16, description="Order of the butterworth filter.")
    padding: Literal["edge", "zero"] = Field(
        default="edge", description="What stands beside the field of view: its edge value (samples wider than the view) or zero."
    )
    transmission_floor: float = Field(
        default=0.01, gt=0, lt=1, description="Smallest transmission before the logarithm (1 = no absorption)."
    )
    ring_removal: RingMethod = Field(default="none", description="How stripes of the sinogram (rings in the slice) are removed.")
    ring_level: int = Field(default=8, ge=1, le=12, description="Wavelet levels of the fourier-wavelet ring removal.")
    ring_sigma: float = Field(
        default=3.0, gt=0, le=100, description="Width of the fourier-wavelet damping, in Fourier samples along the angle."
    )
    ring_size: int = Field(default=21, ge=3, le=501, description="Window of the smoothing and sorting ring removal, in columns (made odd).")
    ring_wavelet: str = Field(
        default="db5", pattern=r"^(db([1-9]|[12]\d|3[0-8])|sym([2-9]|1\d|20)|coif([1-9]|1[0-7])|haar)$",
        description="Wavelet of the fourier-wavelet ring removal, by its PyWavelets name.",
    )  # fmt: skip
    mask_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Radius of the circular mask as a share of half the width; 0 switches the mask off."
    )
    pixel_size_mm: float | None = Field(
        default=None, gt=0, le=10, description="Effective pixel size in millimetres; None takes it from the scan file."
    )


@dataclass(frozen=True)
class Resolved:
    """Parameters with their origin: ``sources`` names for each key who set it, ``ignored`` the scan's keys not understood."""

    parameters: Parameters
    sources: dict[str, str]
    ignored: dict[str, str]


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping. Raises InputUnreadable, BadParameters."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputUnreadable(
            f"The parameters file {path} cannot be read: {error}.", next_step="Check --params: it must name a readable text file."
        ) from error
    except yaml.YAMLError as error:
        raise BadParameters(
            f"The parameters file {path} is not valid YAML: {' '.join(str(error).split())}.", next_step="Correct the file."
        ) from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise BadParameters(
            f"The parameters file {path} holds a {type(content).__name__}, not key: value pairs.", next_step="Write lines key: value."
        )
    return {str(key): value for key, value in content.items()}


def resolve(scan: Mapping[str, str], given: Mapping[str, Any], command: Mapping[str, Any]) -> Resolved:
    """Joins the sources, later ones win; the scan's wishes that do not validate are ignored, those of people are refused.

    Raises BadParameters.
    """
    wishes, ignored = _understood(scan)
    values: dict[str, Any] = {}
    sources: dict[str, str] = dict.fromkeys(Parameters.model_fields, "default")
    for origin, layer in (("scan file", wishes), ("parameters file", given), ("command line", command)):
        values.update(layer)
        sources.update(dict.fromkeys(layer, origin))
    return Resolved(_validated(values), {key: sources[key] for key in Parameters.model_fields}, ignored)


def _understood(scan: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    wishes: dict[str, Any] = {}
    ignored: dict[str, str] = {}
    for key, text in scan.items():
        name = _SCAN_ALIASES.get(key, key)
        value = _SCAN_VALUES.get(text.strip().lower(), text.strip())
        try:
            Parameters.model_validate({name: value})
        except ValidationError:
            ignored[key] = text
        else:
            wishes[name] = value
    return wishes, ignored


def _validated(values: Mapping[str, Any]) -> Parameters:
    try:
        return Parameters.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "parameters"
        known = ", ".join(Parameters.model_fields)
        raise BadParameters(
            f"Parameter {key} = {values.get(key)!r} is refused: {first['msg']}.",
            next_step=f"Correct it; known parameters are {known}.",
        ) from error
