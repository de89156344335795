"""Clean-ups of what people and programs wrote into scan files, so that SciCat accepts it and groups are what they should be.

Here: pure functions from dirty text to groups, addresses, words and keys. Not here: which field of a record gets the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

PLACEHOLDERS = frozenset({"", "none", "null", "unknown", "na", "n/a", "nan", "-", "?"})
MAX_KEYWORDS = 20

_SEPARATORS = re.compile(r"[,;\s]+")
_WRAPPING = "\"'`[](){}<>"
_GROUP = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9])){0,99}")
_LOCAL = re.compile(r"[A-Za-z0-9_+'-]+(?:\.[A-Za-z0-9_+'-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_TOP_LEVEL = re.compile(r"[A-Za-z]{2,63}")
_STAMP = re.compile(r"^\d{8}[_-]?\d{4,6}(?=[^0-9]|$)")
_EXTENSION = re.compile(r"\.(h5|hdf5|hdf|nxs)$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


def text_or_none(value: object) -> str | None:
    """The trimmed text without wrapping quotes or commas, or None for a word that stands for nothing."""
    if not isinstance(value, str):
        return None
    text = value.strip(" \t\r\n,;" + _WRAPPING).strip()
    return None if text.lower() in PLACEHOLDERS else text


def group_name(value: object) -> str | None:
    """A group as SciCat can store it (letters, digits, ``-_`` and single dots between them), or None.

    Group names become field names inside SciCat: an empty part or a ``$`` there fails after the record was stored.
    """
    text = text_or_none(value)
    return text if text and _GROUP.fullmatch(text) else None


def beamline_groups(value: object, aliases: Mapping[str, str]) -> list[str]:
    """The groups of a beamline field such as ``"'BL832',"``: split, lower case, aliases resolved, each once."""
    if not isinstance(value, str):
        return []
    words = (group_name(part.lower()) for part in _SEPARATORS.split(value))
    return unique(aliases.get(word, word) for word in words if word)


def email_addresses(value: object) -> list[str]:
    """The addresses in a text that SciCat's validator accepts, each once, in order."""
    if not isinstance(value, str):
        return []
    return unique(part for part in (piece.strip(_WRAPPING) for piece in _SEPARATORS.split(value)) if is_email(part))


def is_email(text: str) -> bool:
    """Whether SciCat accepts this as one address (a subset of what it accepts: ASCII, no quoted local part)."""
    local, at, domain = text.partition("@")
    if not at or len(text) > 254 or len(local) > 64 or not _LOCAL.fullmatch(local):
        return False
    *labels, top = domain.split(".")
    return bool(labels) and all(_LABEL.fullmatch(label) for label in labels) and bool(_TOP_LEVEL.fullmatch(top))


def name_without_extension(text: str) -> str:
    """The scan's name: the file name without an HDF5 extension."""
    return _EXTENSION.sub("", text.strip()) or text.strip()


def words_of(name: str) -> list[str]:
    """The words of a scan's name without its time stamp and extension, lower case, each once, at most ``MAX_KEYWORDS``."""
    rest = _STAMP.sub("", name_without_extension(name))
    return unique(word.lower() for word in _WORD.findall(rest))[:MAX_KEYWORDS]


def metadata_key(key: object) -> str:
    """A key that every SciCat gives back unchanged: never empty, no control characters, no ``%``, no leading ``$`` or ``__``.

    SciCat keeps keys URL-encoded and decodes them on reading, so a ``%`` in a key may come back as something else.
    """
    text = str(key).encode("utf-8", "replace").decode("utf-8")
    text = "".join(character for character in text if character.isprintable()).replace("%", "_")
    if text.startswith("$") or text.startswith("__"):
        text = "_" + text.lstrip("$_")
    return text[:500] or "_"


def unique(items: Iterable[str]) -> list[str]:
    """Each item once, in the order of first appearance."""
    return list(dict.fromkeys(items))
