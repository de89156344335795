"""Ways to spoil a scan file, and the shapes of the fixtures.

Here: values. Not here: any promise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from als_assets.errors import AlsError

Put = Callable[..., Path]
Spoil = Callable[[Path], object]
# Two rounds with the quiet time between them: keys that the second admitted, and what it refused, by path.
Settled = Callable[[], tuple[list[str], dict[str, AlsError]]]


def edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def without(field: str) -> Spoil:
    return lambda path: edit(path, lambda file: file.__delitem__(field))


def replaced(field: str, value: Any) -> Spoil:
    def change(file: h5py.File) -> None:
        del file[field]
        file[field] = value

    return lambda path: edit(path, change)


def cut(path: Path) -> None:
    """A third of the file is missing at its end."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)
