"""What SciCat adds to a metadata entry that has a value and a unit: the same in SI units.

Here: the units that beamlines write; any other passes through. Not here: checks; the backend accepts every unit.
"""

from __future__ import annotations

from typing import Any

from als_assets.simulator.store import Doc

# Unit: (SI unit, factor, offset). "C" is coulomb to the backend; temperatures must be written degC.
_SI = {
    "nm": ("m", 1e-9, 0.0),
    "um": ("m", 1e-6, 0.0),
    "mm": ("m", 1e-3, 0.0),
    "cm": ("m", 1e-2, 0.0),
    "km": ("m", 1e3, 0.0),
    "ms": ("s", 1e-3, 0.0),
    "min": ("s", 60.0, 0.0),
    "eV": ("J", 1.602176634e-19, 0.0),
    "keV": ("J", 1.602176634e-16, 0.0),
    "mA": ("A", 1e-3, 0.0),
    "deg": ("rad", 0.017453292519943295, 0.0),
    "degC": ("K", 1.0, 273.15),
    "C": ("s A", 1.0, 0.0),
}


def with_si(metadata: Doc) -> Doc:
    """The metadata with ``valueSI`` and ``unitSI`` beside each ``{value, unit}``, at any depth."""
    return {key: _entry(held) for key, held in metadata.items()}


def _entry(held: Any) -> Any:
    if not isinstance(held, dict):
        return held
    value, unit = held.get("value"), held.get("unit")
    values: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values) or not isinstance(unit, str) or not unit:
        return with_si(held)
    name, factor, offset = _SI.get(unit, (unit, 1.0, 0.0))
    converted = [v * factor + offset for v in values]
    return {**held, "valueSI": converted if isinstance(value, list) else converted[0], "unitSI": name}
