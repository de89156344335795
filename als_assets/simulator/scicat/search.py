"""SciCat's queries: ``where`` conditions, order and pages.

Here: pure functions over records. Not here: rights; the caller leaves out what may not be seen.
"""

from __future__ import annotations

import json
import re
from typing import Any

from als_assets.simulator.scicat.auth import ScicatError
from als_assets.simulator.store import Doc
from als_assets.simulator.web import Call

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T[0-9:.]+(Z|[+-]\d{2}:?\d{2})?)?")
# Words are passed over, and the number at the end is a month or a year.
_ANY_DATE = re.compile(rf"[^\d_]*(?<![A-Za-z])0*(?:[1-9]|1[0-2]|3[2-9]|[4-9]\d|\d{{3,5}})[ /]*|{_DATE.pattern}")


def json_parameter(call: Call, name: str) -> Doc:
    """A query parameter that holds a JSON object; {} when absent. Raises ``ScicatError`` 400."""
    try:
        value = json.loads(call.query(name) or "{}")
    except json.JSONDecodeError as error:
        raise ScicatError(400, f"Invalid JSON in {name}: {error}") from error
    if not isinstance(value, dict):
        raise ScicatError(400, f"Invalid JSON in {name}: an object was expected")
    return value


def as_read(where: Any, *, old: bool) -> Any:
    """The conditions as the backend reads them: a text that is a date is taken for one, and no text equals it. To 4.27 (``old``)
    "sand-3" is a date, as JavaScript's parser finds one; 5.x wants year, month and day. What is in a list stays as it is."""
    if isinstance(where, list):
        return [as_read(item, old=old) if isinstance(item, dict) else item for item in where]
    if not isinstance(where, dict):
        return where
    return {key: _text_as_read(item, old) if isinstance(item, str) else as_read(item, old=old) for key, item in where.items()}


def _text_as_read(text: str, old: bool) -> Any:
    looks = _ANY_DATE.fullmatch(re.sub(r"\(.*?\)", "", text)) if old else _DATE.fullmatch(text)
    return ("date", text) if looks else text


def matches(record: Doc, where: Doc) -> bool:
    """Whether a record fulfils all conditions."""
    for key, condition in where.items():
        if key in ("$or", "or"):
            if not any(matches(record, part) for part in condition):
                return False
        elif key in ("$and", "and"):
            if not all(matches(record, part) for part in condition):
                return False
        elif key == "text":
            words = f"{record.get('datasetName', '')} {record.get('description', '')}".lower()
            if str(condition).lower() not in words:
                return False
        elif not _fulfils(_value(record, key), condition):
            return False
    return True


def _value(record: Doc, key: str) -> Any:
    """The value at a dotted path; below a list those of all its items."""
    found: Any = record
    for part in [key] if key in record else key.split("."):
        if isinstance(found, list):
            found = [item.get(part) for item in found if isinstance(item, dict)]
        else:
            found = found.get(part) if isinstance(found, dict) else None
    return found


def _fulfils(value: Any, condition: Any) -> bool:
    if isinstance(condition, dict):
        return all(_operator(name, value, operand) for name, operand in condition.items())
    if isinstance(condition, list):
        return value in condition
    return bool(condition in value) if isinstance(value, list) else bool(value == condition)


def _operator(name: str, value: Any, operand: Any) -> bool:
    name = name.removeprefix("$")
    if name in ("like", "regexp", "regex", "ilike"):
        if not isinstance(operand, str):
            raise ScicatError(400, "$regex has to be a string")
        return re.search(str(operand), str(value or ""), re.IGNORECASE if name == "ilike" else 0) is not None
    if name in ("inq", "in", "nin"):
        found = any(item in operand for item in value) if isinstance(value, list) else value in operand
        return found != (name == "nin")
    if name in ("neq", "ne"):
        return bool(value != operand)
    if name == "exists":
        return (value is not None) == bool(operand)
    if name == "between":
        return value is not None and bool(operand[0] <= value <= operand[1])
    operand = operand[1] if isinstance(operand, tuple) else operand  # dates as they are written have the right order
    comparisons = {"gt": lambda: value > operand, "gte": lambda: value >= operand}
    comparisons |= {"lt": lambda: value < operand, "lte": lambda: value <= operand}
    if name not in comparisons:
        return False  # the database takes it for a field of the value
    return value is not None and bool(comparisons[name]())


def page(records: list[Doc], limits: Doc, default_limit: int | None) -> list[Doc]:
    """The records of one page: ``order`` "field:asc" (or ``sort`` {field: direction}), ``skip`` and ``limit``."""
    order = limits.get("order") or ""
    sort = limits.get("sort") or dict(part.strip().partition(":")[::2] for part in str(order).split(",") if part.strip())
    for field, direction in reversed(list(sort.items())):
        records = sorted(records, key=lambda record: str(record.get(field) or ""), reverse=str(direction).startswith("desc"))
    skip, limit = int(limits.get("skip") or 0), limits.get("limit") or default_limit
    return records[skip:] if limit is None else records[skip : skip + int(limit)]
