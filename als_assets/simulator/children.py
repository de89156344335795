"""Processes that outlive the simulator, as the files of their folders and the process table tell of them.

Here: reading a file that is complete or absent, and telling a process from a later one with its number. Not here: starting them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any] | None:
    """The JSON document in a file; None where there is none (yet)."""
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return document


def started(pid: int) -> str:
    """When a living process began, in clock ticks since boot; with its number that names it for ever. Empty: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def runs(pid: int, *arguments: str) -> bool:
    """Whether ``pid`` lives and is the process we mean, by words of its command: process ids are used again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return all(argument.encode() in command for argument in arguments)
