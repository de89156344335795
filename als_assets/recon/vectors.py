"""Loops that name the machine's vector registers, where the compiler alone does not find them.

Here: numba intrinsics that emit LLVM vectors, and the loop of gridding built on them; LLVM lowers them to what the processor
has. What belongs here is measured to be faster than the portable form in ``kernels.py``, which says the same. Not here: choice
between the two, see ``engine.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types as _types
from numba.extending import intrinsic as _intrinsic

from als_assets.recon.compiled import compiled

types: Any = _types  # neither is typed in a way that fits its use inside compiled functions
intrinsic: Any = _intrinsic
_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FAST = ("fast",)


@intrinsic  # type: ignore[untyped-decorator]
def split_float(typing: Any, value: Any) -> Any:
    """Exponent and mantissa of a normal float32 > 0, both float32, the mantissa between 0.707 and 1.414.

    By 32-bit arithmetic on the bits: numba's own integers would be widened, and no vector unit converts those to float32.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], _INT)
        exponent = builder.ashr(builder.sub(bits, ir.Constant(_INT, 0x3F3504F3)), ir.Constant(_INT, 23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, ir.Constant(_INT, 23))), _FLOAT)
        return context.make_tuple(builder, signature.return_type, [builder.sitofp(exponent, _FLOAT), mantissa])

    return types.UniTuple(types.float32, 2)(types.float32), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def add_weighted(typing: Any, target: Any, source: Any, weights: Any, lanes: Any) -> Any:
    """Four vectors at address ``target`` += the vector at ``source`` times each of four weights; ``lanes`` is a constant."""
    count = lanes.literal_value
    signature = types.void(types.uint64, types.uint64, types.UniTuple(types.float32, 4), lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_FLOAT, count)
        nothing = ir.Constant(vector, ir.Undefined)
        first = ir.Constant(ir.VectorType(_INT, count), [0] * count)
        to = builder.inttoptr(arguments[0], vector.as_pointer())
        values = builder.load(builder.inttoptr(arguments[1], vector.as_pointer()), align=4)
        for j in range(4):
            weight = builder.insert_element(nothing, builder.extract_value(arguments[2], j), ir.Constant(_INT, 0))
            weight = builder.shuffle_vector(weight, nothing, first)
            place = builder.gep(to, [ir.Constant(ir.IntType(64), j)])
            added = builder.fadd(builder.fmul(values, weight, flags=_FAST), builder.load(place, align=4), flags=_FAST)
            builder.store(added, place, align=4)
        return context.get_dummy_value()

    return signature, generate


@cache
def spread(lanes: int) -> Callable[..., None]:
    """As ``kernels.spread``, on contiguous arrays, one vector of ``lanes`` slices at a time."""

    def kernel(spectra: Any, points: Any, cells: Any, u: Any, v: Any, n: int, grid: Any) -> None:
        vector = np.uint64(4 * lanes)
        line = np.uint64(n) * vector
        sources, targets = np.uint64(spectra.ctypes.data), np.uint64(grid.ctypes.data)
        for m in range(points.size):
            source = sources + vector * np.uint64(points[m])
            target = targets + vector * np.uint64(cells[m])
            a, b, c, d = u[m, 0], u[m, 1], u[m, 2], u[m, 3]
            for i in range(4):
                w = v[m, i]
                add_weighted(target, source, (a * w, b * w, c * w, d * w), lanes)
                target += line

    return compiled(kernel)
