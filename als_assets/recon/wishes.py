"""What users of the beamline's control program wrote into the scan file, in our words.

Here: the strings under ``/process/tomo_rec/setup/algorithm`` as today's acquisition writes them, and their meaning. What belongs
here is names and spellings. Not here: whether a value is allowed, see ``parameters.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "ring_removal_method": "ring_removal",
    "filter_name": "filter",
    "rotation_center": "center",
    "cor": "center",
    "remove_outliers": "outlier_2d",
    "phase_filt": "phase_retrieval",
    "output_type": "output_bits",
    "output_scaling_min_value": "output_min",
    "output_scaling_max_value": "output_max",
}
_RINGS = {
    "fw": "fourier-wavelet", "fourier-wavelet": "fourier-wavelet", "ti": "titarenko", "sf": "smoothing", "smoothing filter": "smoothing",
    "sort": "sorting", "vo": "all-stripes", "all": "all-stripes", "no": "none", "false": "none",
}  # fmt: skip
_FILTERS = {"ramlak": "ramp", "ram-lak": "ramp", "shepp": "shepp-logan", "butter": "butterworth"}
_OUTLIERS = {"true": "750", "yes": "750", "false": "0", "no": "0", "none": "0"}  # 750 counts: what the control program means by yes
_PHASE = {"true": "paganin", "yes": "paganin", "false": "none", "no": "none"}
_WORDS = ("", "-bit", " bit", "bit", "-bit integer", "-bit float")
_BITS = {f"{bits}{word}": bits for bits in (8, 16, 32) for word in _WORDS}
_VALUES: dict[str, Mapping[str, Any]] = {
    "ring_removal": _RINGS,
    "filter": _FILTERS,
    "outlier_2d": _OUTLIERS,
    "phase_retrieval": _PHASE,
    "output_bits": _BITS,
}


def translated(key: str, scan: Mapping[str, str]) -> dict[str, Any]:
    """The entry ``key`` of the scan's wishes as a parameter; unknown names and values come back as they are."""
    text = scan[key].strip()
    if key in ("delta", "beta") and {"delta", "beta"} <= scan.keys():
        return {"phase_delta_beta": _ratio(scan["delta"], scan["beta"])}
    name = _NAMES.get(key, key)
    if name in _VALUES:
        return {name: _VALUES[name].get(text.lower(), text.lower())}
    return {name: text}


def _ratio(delta: str, beta: str) -> float | None:
    """None, which no parameter accepts, where it is not a number."""
    try:
        return float(f"{float(delta) / float(beta):.12g}")
    except (ValueError, ZeroDivisionError):
        return None
