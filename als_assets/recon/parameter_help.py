"""The parameters as forms and pages show them: type, unit, bounds, choices and help of each.

Here: one description derived from the model, and the table of the documentation made of it. What belongs here is presentation.
Not here: the parameters themselves, see ``parameters.py``. Run ``python -m als_assets.recon parameters`` for the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from als_assets.recon.parameters import Parameters

_WAVELETS = "`haar`, `db1` to `db38`, `sym2` to `sym20`, `coif1` to `coif17`"


@dataclass(frozen=True)
class ParameterHelp:
    """One parameter: ``kind`` as JSON names it, ``unit`` or "", ``default``, ``choices``, bounds in words, and what it does."""

    name: str
    kind: str
    unit: str
    default: Any
    choices: tuple[Any, ...]
    bounds: str
    text: str


def parameter_help() -> list[ParameterHelp]:
    """All parameters in the order of the model, from its JSON schema (``Parameters.model_json_schema()``)."""
    return [_described(name, entry) for name, entry in Parameters.model_json_schema()["properties"].items()]


def markdown_table() -> str:
    """The table of ``docs/staff/parameters.md``."""
    lines = ["| parameter | default | bounds or choices | meaning |", "|---|---|---|---|"]
    lines += [f"| `{h.name}` | `{Parameters.model_fields[h.name].default}` | {_allowed(h)} | {h.text} |" for h in parameter_help()]
    return "\n".join(lines)


def _described(name: str, entry: dict[str, Any]) -> ParameterHelp:
    options = [option for option in entry.get("anyOf", [entry]) if option.get("type") != "null"]
    choices = tuple(value for option in options for value in option.get("enum", ()))
    kind = "|".join(str(option.get("type", "integer")) for option in options)
    bounds = _WAVELETS if "pattern" in entry else " or ".join(filter(None, map(_bounds, options)))
    return ParameterHelp(name, kind, entry.get("unit", ""), entry["default"], choices, bounds, entry["description"])


def _bounds(option: dict[str, Any]) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    if option.get("type") == "array":
        return f"up to {option['maxItems']} numbers"
    if option.get("type") == "boolean":
        return "`True` or `False`"
    return ", ".join(f"{word} {_plain(option[key])}" for key, word in words.items() if key in option)


def _allowed(shown: ParameterHelp) -> str:
    choices = ", ".join(f"`{choice}`" for choice in shown.choices)
    return ", or ".join(filter(None, (choices, shown.bounds)))


def _plain(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)
