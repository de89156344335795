"""What the machine under a program is: its processors, the memory that may be taken, and the versions of what computes.

Here: looking. Not here: deciding how many workers fit (``reconstruct``) or how much is kept in memory (``volume``).
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path


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
