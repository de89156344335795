"""Reading YAML into models, so that every complaint names the file, the line and the reason, and never a secret's value.

Here: the loader shared by facility files and settings files. Not here: what the models mean (``models``, ``settings``).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from als_assets.errors import ConfigError
from als_assets.facility.models import Facility
from als_assets.facility.secrets import SecretRef, find_pasted_secret

M = TypeVar("M", bound=BaseModel)


def facility_file() -> Path:
    """The facility file in force: the variable ALS_FACILITY, or the production file of a checkout."""
    return Path(os.environ.get("ALS_FACILITY", "facility/als.yaml"))


def load_facility(path: Path) -> Facility:
    """Read and check a facility file. Relative paths in it are taken from the folder of the file.

    Raises:
        ConfigError: unreadable, not YAML, or wrong; the sentence names file, line and reason.
    """
    facility = load_model(path, Facility)
    base = path.resolve().parent
    beamlines = {name: setup.model_copy(update={"settings": base / setup.settings}) for name, setup in facility.beamlines.items()}
    identities = {name: _absolute_secrets(identity, base) for name, identity in facility.identities.items()}
    update: dict[str, Any] = {"state_dir": base / facility.state_dir, "beamlines": beamlines, "identities": identities}
    if facility.ledger_url is not None:
        update["ledger_url"] = facility.ledger_url.below(base)
    return facility.model_copy(update=update)


def load_model(path: Path, model: type[M]) -> M:
    """Read one YAML file into ``model``.

    Raises:
        ConfigError: unreadable, not YAML, holds a secret, or does not fit the model.
    """
    text = _read(path)
    if (line := find_pasted_secret(text)) is not None:
        raise _complaint(path, line, "it looks as if a secret was written here; name a file or a variable instead")
    node, document = _parsed(path, text)
    if not isinstance(document, dict):
        raise _complaint(path, 1, "it must be a table of keys")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        # include_input=False: what was written there may be a secret
        every = error.errors(include_url=False, include_input=False, include_context=False)
        # A misspelt key is two mistakes, an unknown key and a missing one: the one that is in the file is named.
        first = min(every, key=lambda one: one["type"] == "missing")
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        line = _line_of(node, first["loc"], reason)
        raise _complaint(path, line, f"{where}: {reason}" if where else reason) from None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}.", next_step="Check the name and the rights of the file.") from error


def _parsed(path: Path, text: str) -> tuple[yaml.Node | None, Any]:
    """The file as a tree with lines, and as values. Errors are not chained: the parser's own text shows a piece of the file."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if (twice := _written_twice(node, set())) is not None:
            raise _complaint(path, twice.start_mark.line + 1, f"'{twice.value}' is written twice in one table")
        return node, None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        mark = getattr(error, "problem_mark", None)
        raise _complaint(path, (mark.line + 1) if mark else 1, "it is not valid YAML") from None


def _written_twice(node: yaml.Node | None, seen: set[int]) -> yaml.ScalarNode | None:
    """The first key that a table holds for the second time (YAML would silently let it win over the first)."""
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return None
    seen.add(id(node))  # an alias may point back to a table around it
    keys: set[str] = set()
    for item in node.value:
        key, child = item if isinstance(node, yaml.MappingNode) else (None, item)
        if isinstance(key, yaml.ScalarNode):
            if key.value in keys:
                return key
            keys.add(key.value)
        if (found := _written_twice(child, seen)) is not None:
            return found
    return None


def _complaint(path: Path, line: int, reason: str) -> ConfigError:
    return ConfigError(
        f"{path}, line {line}: {reason}.", next_step="Correct that line, then run: als config check", file=str(path), line=line
    )


def _line_of(node: yaml.Node | None, loc: tuple[int | str, ...], reason: str) -> int:
    """The line of the deepest key of ``loc`` that is in the file; checks across tables begin their text with 'a.b.c:'."""
    if not loc and ":" in reason:
        loc = tuple(reason.split(":")[0].split("."))
    line = 1
    for part in loc:
        child = _child(node, part)
        if child is None:
            continue  # discriminator tags and aliases are in pydantic's path but not in the file
        line, node = child
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


def _absolute_secrets(identity: Any, base: Path) -> Any:
    return identity.model_copy(update={name: value.below(base) for name, value in identity if isinstance(value, SecretRef)})
