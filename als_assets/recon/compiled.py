"""How a Python function becomes machine code here: one decorator for nearly every loop, and a strict one.

Here: numba's options and nothing else. What belongs here is a decorator. Not here: loops, see ``kernels.py`` and ``vectors.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """numba's machine code for ``function``: no GIL, reordered floating point sums, cached on disk."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})(function))


def exactly_compiled(function: F) -> F:
    """The same without any freedom in arithmetic, for loops whose decisions have to be the same each time they are taken."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
