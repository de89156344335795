"""Modules that are imported when they are first used: every worker of the suite imports every test file, and few use all of it.

Here: the recipe of https://docs.python.org/3/library/importlib.html#implementing-lazy-imports. Not here: what is imported so.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any


def late(name: str) -> Any:
    """The top-level module ``name``, not executed before one of its names is asked for."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None, f"{name} is not installed"
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
