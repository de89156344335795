"""The parameters of a reconstruction, with units, bounds and help texts, and where their values come from.

Here: one pydantic model, the resolution defaults < scan file < settings < run, and the record of what was ignored. What belongs
here is anything a person may choose. Not here: values derived from the data, see ``center.py``, and how they are shown, see
``parameter_help.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from als_assets.recon.errors import BadParameters, InputUnreadable
from als_assets.recon.wishes import translated

CenterMethod = Literal["auto", "pc", "vo", "image", "overlap"]
FilterName = Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "parzen", "butterworth"]
RingMethod = Literal["none", "fourier-wavelet", "titarenko", "smoothing", "sorting", "all-stripes"]


_RANGE = {"output_min", "output_max"}


def _in(unit: str) -> dict[str, Any]:
    """The unit, for forms and pages."""
    return {"unit": unit}


class Parameters(BaseModel):
    """Everything a person can choose about a reconstruction, in the order of the chain. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    center: CenterMethod | Annotated[float, Field(ge=-10_000, le=100_000, allow_inf_nan=False)] = Field(
        default="auto", json_schema_extra=_in("pixels"),
        description="Rotation axis: auto, pc (phase correlation of a 0/180 pair), vo (sinogram method), image (sharpest slice), "
        "overlap (full turn with the axis near an edge) or detector column in pixels.",
    )  # fmt: skip
    stitch_360: bool = Field(
        default=False, description="A full turn with the axis near one edge of the view: slices become nearly twice as wide."
    )
    outlier_2d: float = Field(
        default=0, ge=0, le=65_535, json_schema_extra=_in("counts"),
        description="A pixel this much brighter than the median of its neighbours in the projection is replaced by it; 0 is off.",
    )  # fmt: skip
    outlier_1d: float = Field(
        default=0, ge=0, le=10, json_schema_extra=_in("line integral"),
        description="A value this much under the median of the same pixel at the neighbouring angles is replaced by it; 0 is off.",
    )  # fmt: skip
    outlier_size: int = Field(
        default=3, ge=3, le=15, json_schema_extra=_in("pixels"), description="Side of the outlier windows, in pixels or angles (made odd)."
    )
    phase_retrieval: Literal["none", "paganin"] = Field(
        default="none", description="Single-distance phase retrieval of each projection, for samples of one material."
    )
    phase_delta_beta: float = Field(
        default=1000, gt=0, le=1e6, description="Ratio delta / beta of the refractive index of the sample, for phase retrieval."
    )
    phase_distance_mm: float | None = Field(
        default=None, gt=0, le=1e5, json_schema_extra=_in("mm"),
        description="Distance from sample to scintillator, for phase retrieval; None takes it from the scan file.",
    )  # fmt: skip
    energy_kev: float | None = Field(
        default=None, gt=1, le=500, json_schema_extra=_in("keV"),
        description="Photon energy, for phase retrieval; None takes it from the scan file.",
    )  # fmt: skip
    tilt_deg: float = Field(
        default=0, ge=-10, le=10, json_schema_extra=_in("degrees"),
        description="Tilt of the rotation axis against the detector columns, clockwise in a projection; projections are turned back.",
    )  # fmt: skip
    transmission_floor: float = Field(
        default=0.01, gt=0, lt=1, description="Smallest transmission before the logarithm (1 = no absorption)."
    )
    beam_hardening: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] = Field(
        default=(), max_length=8,
        description="Coefficients of p, p^2, p^3, ... that replace each line integral p, against cupping by a broad spectrum; none is off.",
    )  # fmt: skip
    ring_removal: RingMethod = Field(default="none", description="How stripes of the sinogram (rings in the slice) are removed.")
    ring_level: int = Field(default=8, ge=1, le=12, description="Wavelet levels of the fourier-wavelet ring removal.")
    ring_sigma: float = Field(
        default=3.0, gt=0, le=100, json_schema_extra=_in("Fourier samples"),
        description="Width of the fourier-wavelet damping, in Fourier samples along the angle.",
    )  # fmt: skip
    ring_wavelet: str = Field(
        default="db5", pattern=r"^(db([1-9]|[12]\d|3[0-8])|sym([2-9]|1\d|20)|coif([1-9]|1[0-7])|haar)$",
        description="Wavelet of the fourier-wavelet ring removal, by its PyWavelets name.",
    )  # fmt: skip
    ring_size: int = Field(
        default=21, ge=3, le=501, json_schema_extra=_in("pixels"),
        description="Reach of the titarenko, smoothing, sorting and all-stripes ring removal, in columns (made odd).",
    )  # fmt: skip
    ring_large_size: int = Field(
        default=51, ge=3, le=501, json_schema_extra=_in("pixels"),
        description="Window for wide and dead stripes of the all-stripes ring removal, in columns (made odd).",
    )  # fmt: skip
    ring_snr: float = Field(
        default=3.0, ge=1, le=100, description="How far a stripe stands out before the all-stripes ring removal takes it for a wide one."
    )
    filter: FilterName = Field(default="ramp", description="Window on the ramp filter; ramp keeps all detail and all noise.")
    filter_cutoff: float = Field(
        default=0.25, gt=0, le=0.5, json_schema_extra=_in("cycles per pixel"),
        description="Cut-off of the butterworth filter, in cycles per pixel (0.5 is the Nyquist limit).",
    )  # fmt: skip
    filter_order: int = Field(default=2, ge=1, le=16, description="Order of the butterworth filter.")
    padding: Literal["edge", "zero"] = Field(
        default="edge", description="What stands beside the field of view: its edge value (samples wider than the view) or zero."
    )
    mask_ratio: float = Field(
        default=1.0, ge=0, le=1, description="Radius of the circular mask as a share of half the width; 0 switches the mask off."
    )
    value_scale: Literal["1/cm", "tomopy"] = Field(
        default="1/cm", description="Values in 1/cm, or times 1.16 as older volumes made by TomoPy's gridrec have it on average."
    )
    output_bits: Literal[8, 16, 32] = Field(
        default=32, json_schema_extra=_in("bits"), description="Pixels of the TIFF files: 8 or 16 bits between two values, or 32-bit float."
    )
    output_min: float = Field(default=-10, ge=-1e6, le=1e6, json_schema_extra=_in("1/cm"), description="What becomes 0 in 8 and 16 bits.")
    output_max: float = Field(
        default=30,
        ge=-1e6,
        le=1e6,
        json_schema_extra=_in("1/cm"),
        description="What becomes the largest number in 8 and 16 bits.",
    )
    pixel_size_mm: float | None = Field(
        default=None, gt=0, le=10, json_schema_extra=_in("mm"),
        description="Effective pixel size in millimetres; None takes it from the scan file.",
    )  # fmt: skip


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


def resolve(
    scan: Mapping[str, str], given: Mapping[str, Any], command: Mapping[str, Any], settings: Mapping[str, Any] | None = None
) -> Resolved:
    """Joins defaults < ``scan`` (its own wishes) < ``settings`` (of the facility) < ``given`` (file of the run) < ``command`` line.

    The scan's wishes that do not validate are ignored, those of people are refused. Raises BadParameters.
    """
    wishes, ignored = _understood(scan)
    values: dict[str, Any] = {}
    sources: dict[str, str] = dict.fromkeys(Parameters.model_fields, "default")
    layers = (("scan file", wishes), ("settings", settings or {}), ("parameters file", given), ("command line", command))
    for origin, layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, origin))
    return Resolved(_validated(values), {key: sources[key] for key in Parameters.model_fields}, ignored)


def _understood(scan: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    wishes: dict[str, Any] = {}
    ignored: dict[str, str] = {}
    for key, text in scan.items():
        meant = translated(key, scan)
        try:
            Parameters.model_validate({**wishes, **meant})
        except ValidationError:
            ignored[key] = text
        else:
            wishes.update(meant)
    if not _ordered(Parameters.model_validate(wishes)):
        ignored.update({key: text for key, text in scan.items() if translated(key, scan).keys() & _RANGE})
        wishes = {key: value for key, value in wishes.items() if key not in _RANGE}
    return wishes, ignored


def _ordered(parameters: Parameters) -> bool:
    return parameters.output_min < parameters.output_max


def _validated(values: Mapping[str, Any]) -> Parameters:
    try:
        parameters = Parameters.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "parameters"
        known = ", ".join(Parameters.model_fields)
        raise BadParameters(
            f"Parameter {key} = {values.get(key)!r} is refused: {first['msg']}.",
            next_step=f"Correct it; known parameters are {known}.",
        ) from error
    if not _ordered(parameters):
        raise BadParameters(
            f"Parameter output_max = {parameters.output_max} is not above output_min = {parameters.output_min}.", next_step="Correct one."
        )
    return parameters
