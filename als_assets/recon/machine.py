"""What the machine under a program is: its processors, the memory that may be taken, and the versions of what computes.

Here: looking. Not here: deciding how many workers fit (``reconstruct``) or how much is kept in memory (``volume``).
"""

from __future__ import annotations

import ctypes
import os
import platform
from importlib import metadata
from pathlib import Path

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD, _ARENA_MAX = -3, -1, -2, -8  # numbers of glibc's parameters


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def share_cores_among_our_threads() -> None:
    """Keeps the libraries that multiply matrices from starting threads of their own, which would only get into the way of ours;
    ducc0 starts none that it is not asked for, but needs leave to, because it listens to OMP_NUM_THREADS as well. What is set already
    stays. To be called before numpy is imported."""
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    os.environ.setdefault("DUCC0_NUM_THREADS", str(cores()))


def keep_freed_memory() -> None:
    """Lets the C library use freed blocks again instead of giving them back to the system, which has to clear every page that it
    hands out anew: without this, writing a volume in blocks of megabytes spends more time on that than on compression. For a process
    that runs one program; nothing happens where the C library is not glibc. Source: mallopt(3)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26), (_ARENA_MAX, 1)):
            mallopt(parameter, value)


def available_memory_bytes() -> int:
    """Memory that may be taken without swapping, bounded by the control group of a container."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    available = int(fields["MemAvailable"].split()[0]) * 1024
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text(encoding="ascii").strip()).isdigit():
        return min(available, int(text))
    return available


def versions() -> dict[str, str]:
    """Versions of this program and of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("als-assets", "numpy", "h5py", "numba", "ducc0", "tifffile", "tensorstore", "PyWavelets"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
