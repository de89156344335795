"""Dataset keys: a file stem becomes a name that is safe in a URL, a shell, a path and a Dagster partition.

Here: the mapping from stem to key, its inverse, and how very long stems are shortened. Not here: which file belongs to
which dataset, or the record of originals (the ledger keeps those).
"""

from __future__ import annotations

import hashlib
import re

from als_assets.errors import ScanError

MAX_KEY_LENGTH = 200
KEY_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")

_MARK = "_0x"  # starts every escape; rarer in scan names than "_x", which magnifications use ("sample_x10_a")
_ESCAPE = re.compile(r"_0x([0-9A-F]{2})_")
_SHORTENED = re.compile(r"_0x[0-9a-f]{16}\Z")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def key_for(stem: str) -> str:
    """The dataset key of a file stem: ``[A-Za-z0-9_.-]``, at most 200 characters, never starting with ``.`` or ``-``.

    Every other byte of the UTF-8 name becomes ``_0xHH_``, and so does the zero of any other ``_0x`` that would arise; the
    mapping is therefore reversible (``original_stem``). Longer results keep their beginning and end in ``_0x`` and 16
    hexadecimal digits of the stem's SHA-256, a form no unshortened key can have. Raises ScanError for an empty stem.
    """
    if not stem:
        raise ScanError("A scan file without a name has no dataset key", next_step="Give the file a name before its extension")
    raw = stem.encode("utf-8", "surrogateescape")
    mapped = _map_bytes(raw)
    if len(mapped) <= MAX_KEY_LENGTH:
        return mapped
    suffix = _MARK + hashlib.sha256(raw).hexdigest()[:16]
    return mapped[: MAX_KEY_LENGTH - len(suffix)] + suffix


def is_shortened(key: str) -> bool:
    """Whether the key lost part of its stem, so that only the ledger knows the original."""
    return _SHORTENED.search(key) is not None


def original_stem(key: str) -> str:
    """The stem that ``key_for`` mapped to this key. Raises ScanError for a shortened key."""
    if is_shortened(key):
        raise ScanError(
            f"The dataset key {key} was shortened, its file name cannot be computed from it",
            next_step="Look the original name up in the ledger: als scan show",
        )
    raw = bytearray()
    position = 0
    for match in _ESCAPE.finditer(key):
        raw += key[position : match.start()].encode("ascii")
        raw.append(int(match.group(1), 16))
        position = match.end()
    raw += key[position:].encode("ascii")
    return raw.decode("utf-8", "surrogateescape")


def _map_bytes(raw: bytes) -> str:
    mapped: list[str] = []
    after_underscore = False
    for i, byte in enumerate(raw):
        # The underscore may be the name's own or the end of an escape: neither may start what looks like an escape.
        imitates_escape = after_underscore and raw.startswith(b"0x", i)
        plain = byte in _PLAIN and not imitates_escape and not (i == 0 and byte in b".-")
        mapped.append(chr(byte) if plain else f"{_MARK}{byte:02X}_")
        after_underscore = mapped[-1].endswith("_")
    return "".join(mapped)
