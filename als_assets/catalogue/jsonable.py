"""Any value of a scan file as JSON that SciCat stores and gives back unchanged.

Here: one total function over values and the list of what it had to change. Not here: which values go into a record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from als_assets.catalogue.clean import metadata_key
from als_assets.catalogue.model import Issue, encodable, iso

MAX_TEXT = 16_384
MAX_ITEMS = 1_000
_MAX_DEPTH = 8
_LARGEST_EXACT = 2**53  # SciCat's numbers are doubles


def json_object(values: Mapping[Any, Any], field: str, issues: list[Issue]) -> dict[str, Any]:
    """The values as a JSON object: clean keys, and no null at the top level (SciCat 4.27 dies of it, 5.x answers 500).

    A value that cannot be kept is left out or changed, with a warning in ``issues``. Two keys that become the same are kept
    apart by a number.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = free_key(metadata_key(key), result)
        cleaned = json_value(value, f"{field}.{name}", issues)
        if cleaned is not None:
            result[name] = cleaned
    return result


def json_value(value: Any, field: str, issues: list[Issue], depth: int = 0) -> Any:
    """The value as JSON, None where there is nothing to keep (missing, NaN, infinite)."""
    if hasattr(value, "tolist"):  # numpy scalars and arrays of any shape
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, (int, float)):
        return _number(value, field, issues)
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "replace")
    if isinstance(value, str):
        return _text(value, field, issues)
    if isinstance(value, datetime) and value.tzinfo:
        return iso(value)
    if isinstance(value, Mapping | Sequence | Set) and depth < _MAX_DEPTH:
        return _container(value, field, issues, depth)
    if not isinstance(value, PurePath | datetime):
        _warn(issues, field, f"is a {type(value).__name__} and is kept as text")
    return _text(str(value), field, issues)


def _number(value: int | float, field: str, issues: list[Issue]) -> int | float | str | None:
    if isinstance(value, float) and not math.isfinite(value):
        _warn(issues, field, f"is {value} and is left out")
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        _warn(issues, field, "is too large for a number in SciCat and is kept as text")
        return str(value)
    return value


def _text(value: str, field: str, issues: list[Issue]) -> str:
    text = encodable(value).replace("\0", "")
    if len(text) > MAX_TEXT:
        _warn(issues, field, f"holds {len(text)} characters; the first {MAX_TEXT} are kept")
    return text[:MAX_TEXT]


def _container(value: Any, field: str, issues: list[Issue], depth: int) -> Any:
    if len(value) > MAX_ITEMS:
        _warn(issues, field, f"holds {len(value)} items; the first {MAX_ITEMS} are kept")
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        for key, item in list(value.items())[:MAX_ITEMS]:
            name = free_key(metadata_key(key), result)
            result[name] = json_value(item, f"{field}.{name}", issues, depth + 1)
        return result
    items = sorted(value, key=str) if isinstance(value, Set) else list(value)
    return [json_value(item, f"{field}[{i}]", issues, depth + 1) for i, item in enumerate(items[:MAX_ITEMS])]


def free_key(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number at its end where it is taken."""
    number, candidate = 2, name
    while candidate in taken:
        candidate, number = f"{name[:480]}-{number}", number + 1
    return candidate


def _warn(issues: list[Issue], field: str, reason: str) -> None:
    issues.append(Issue("warning", field, f"{field} {reason}"))
