"""Operations that name the machine's vector registers, where the compiler alone does not find them.

Here: numba intrinsics that emit LLVM vectors; LLVM lowers them to what the processor has. What belongs here is a step of a loop, from
addresses to addresses. Not here: the loops built on them, see ``kernels_vector.py``.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils as _cgutils
from numba.core import types as _types
from numba.extending import intrinsic as _intrinsic

types: Any = _types  # neither is typed in a way that fits its use inside compiled functions
intrinsic: Any = _intrinsic
cgutils: Any = _cgutils
_FLOAT, _INT, _LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_FAST = ("fast",)
_FIRST_CACHE, _SECOND_CACHE = 3, 2  # as LLVM numbers them
_AHEAD_BYTES = 256  # of a line: what a processor works on while memory answers


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
        to = builder.inttoptr(arguments[0], vector.as_pointer())
        values = builder.load(builder.inttoptr(arguments[1], vector.as_pointer()), align=4)
        for j in range(4):
            weight = _everywhere(builder, builder.extract_value(arguments[2], j), count)
            place = builder.gep(to, [_LONG(j)])
            added = builder.fadd(builder.fmul(values, weight, flags=_FAST), builder.load(place, align=4), flags=_FAST)
            builder.store(added, place, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def multiply_pairs(typing: Any, target: Any, real: Any, imaginary: Any, lanes: Any) -> Any:
    """The vector at address ``target``, pairs of lanes as complex numbers, is multiplied by one complex number."""
    count = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_FLOAT, count)
        place = builder.inttoptr(arguments[0], vector.as_pointer())
        values = builder.load(place, align=4)
        swapped = builder.shuffle_vector(values, values, ir.Constant(ir.VectorType(_INT, count), [j ^ 1 for j in range(count)]))
        signs = ir.Constant(vector, [-1.0, 1.0] * (count // 2))
        across = builder.fmul(swapped, builder.fmul(_everywhere(builder, arguments[2], count), signs), flags=_FAST)
        along = builder.fmul(values, _everywhere(builder, arguments[1], count), flags=_FAST)
        builder.store(builder.fadd(along, across, flags=_FAST), place, align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.float32, types.float32, lanes), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def gather_tile(typing: Any, sources: Any, offset: Any, target: Any, lanes: Any) -> Any:
    """A square of ``lanes`` columns of as many slices, turned over: slice z from address ``sources[z]`` + ``offset`` (bytes) goes to
    lane z of the ``lanes`` vectors that follow one another from ``target`` on; ``sources`` is the address of the addresses."""
    count = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_FLOAT, count).as_pointer()
        rows = []
        for z in range(count):
            start = builder.add(builder.load(_element(builder, arguments[0], z)), arguments[1])
            rows.append(builder.load(builder.inttoptr(start, vector), align=4))
        to = builder.inttoptr(arguments[2], vector)
        for x, column in enumerate(_turned_over(builder, rows)):
            builder.store(column, builder.gep(to, [_LONG(x)]), align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, lanes), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def scatter_tile(typing: Any, source: Any, factors: Any, targets: Any, offset: Any, lanes: Any) -> Any:
    """The way back: ``lanes`` vectors from ``source`` on, each times its one of the floats at ``factors``; lane z of all of them
    goes to address ``targets[z]`` + ``offset``."""
    count = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_FLOAT, count)
        start, numbers = builder.inttoptr(arguments[0], vector.as_pointer()), builder.inttoptr(arguments[1], _FLOAT.as_pointer())
        columns = []
        for x in range(count):
            factor = _everywhere(builder, builder.load(builder.gep(numbers, [_LONG(x)])), count)
            columns.append(builder.fmul(builder.load(builder.gep(start, [_LONG(x)]), align=4), factor))
        for z, row in enumerate(_turned_over(builder, columns)):
            place = builder.add(builder.load(_element(builder, arguments[2], z)), arguments[3])
            builder.store(row, builder.inttoptr(place, vector.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, types.uint64, lanes), generate


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def take_products(typing: Any, weights: Any, count: Any, source: Any, step: Any, bases: Any, targets: Any, offset: Any, lanes: Any) -> Any:
    """A square of ``lanes`` rows and columns of base - weights^T @ source: row r at ``targets[r]`` + ``offset`` (bytes), base likewise;
    ``count`` rows from ``source`` on, ``step`` bytes apart, and as many of ``weights`` (count, lanes). Sums stay in registers."""
    width = lanes.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(_FLOAT, width)
        factors, count_, start, step_, from_, to, offset_ = arguments[:7]
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * width)) for _ in range(width)]
        for total in sums:
            builder.store(ir.Constant(vector, [0.0] * width), total)
        with cgutils.for_range(builder, count_, intp=_LONG) as loop:
            place = builder.add(start, builder.mul(loop.index, step_))
            line = builder.load(builder.inttoptr(place, vector.as_pointer()), align=4)
            row = builder.inttoptr(builder.add(factors, builder.mul(loop.index, _LONG(4 * width))), _FLOAT.as_pointer())
            for r, total in enumerate(sums):
                factor = _everywhere(builder, builder.load(builder.gep(row, [_LONG(r)])), width)
                builder.store(builder.fadd(builder.fmul(line, factor, flags=_FAST), builder.load(total), flags=_FAST), total)
        for r, total in enumerate(sums):
            places = [builder.add(builder.load(_element(builder, addresses, r)), offset_) for addresses in (from_, to)]
            _prefetched(builder, builder.add(places[0], _LONG(_AHEAD_BYTES)), _SECOND_CACHE)
            base, target = (builder.inttoptr(place, vector.as_pointer()) for place in places)
            builder.store(builder.fsub(builder.load(base, align=4), builder.load(total)), target, align=4)
        return context.get_dummy_value()

    address, whole = types.uint64, types.int64
    return types.void(address, whole, address, address, address, address, address, lanes), generate


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typing: Any, address: Any) -> Any:
    """Asks for the cache line at ``address`` without waiting for it; any address will do."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _prefetched(builder, arguments[0], _FIRST_CACHE)
        return context.get_dummy_value()

    return types.void(types.uint64), generate


def _prefetched(builder: Any, address: Any, cache: int) -> None:
    pointer = ir.IntType(8).as_pointer()
    declared = ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT])
    prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], declared)
    builder.call(prefetch, [builder.inttoptr(address, pointer), _INT(0), _INT(cache), _INT(1)])


def _element(builder: Any, addresses: Any, index: int) -> Any:
    """Where the address with this index stands in the list of addresses."""
    return builder.gep(builder.inttoptr(addresses, _LONG.as_pointer()), [_LONG(index)])


def _everywhere(builder: Any, value: Any, count: int) -> Any:
    """A vector of ``count`` times the same value."""
    vector = ir.VectorType(_FLOAT, count)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT(0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_INT, count), [0] * count))


def _turned_over(builder: Any, rows: list[Any]) -> list[Any]:
    """The transpose of a square of vectors: blocks off the diagonal change places, for blocks of 1, 2, 4, ... elements."""
    count, rows = len(rows), list(rows)
    step = 1
    while step < count:
        low = [j if not j & step else count + j - step for j in range(count)]
        high = [j + step if not j & step else count + j for j in range(count)]
        for i in range(count):
            if not i & step:
                pair = rows[i], rows[i + step]
                for at, picked in ((i, low), (i + step, high)):
                    rows[at] = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(_INT, count), picked))
        step *= 2
    return rows
