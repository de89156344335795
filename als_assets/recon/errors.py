"""The errors of the numerical programs; a tree of its own because they run alone at the sites.

Here: every exception that recon raises on purpose, each with one sentence, a next step and the exit code that a job script
sees. What belongs here is what a caller can act on. Not here: messages of single cases, which are written where they occur.

Exit codes: 0 complete and read back, 1 a fault in the program, 2 wrong use of the command line, 130 interrupted, and the
``exit_code`` of each class below (``exit_code_table()``).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar


class ReconError(Exception):
    """Base. ``sentence`` names the thing and the reason, ``next_step`` says what to do about it."""

    exit_code: ClassVar[int] = 9

    def __init__(self, sentence: str, *, next_step: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step

    @classmethod
    def tree(cls) -> Iterator[type[ReconError]]:
        """This class and all its descendants."""
        yield cls
        for child in cls.__subclasses__():
            yield from child.tree()


# --- the input ---------------------------------------------------------------------------------------------------------


class InputUnreadable(ReconError):
    """The input is missing or cannot be opened by this account."""

    exit_code = 10


class NotHdf5(ReconError):
    """The input is not an HDF5 file."""

    exit_code = 11


class TruncatedInput(ReconError):
    """The file ends before its data, or its last frames were never written."""

    exit_code = 12


class MissingField(ReconError):
    """A field that the work needs is absent from the scan file."""

    exit_code = 13


class ShapeMismatch(ReconError):
    """Shapes of projections, flat fields, dark fields or images do not fit together."""

    exit_code = 14


class WrongThetaCount(ReconError):
    """The number of angles differs from the number of projections."""

    exit_code = 15


class ZeroFlats(ReconError):
    """The flat fields hold no light above the dark fields."""

    exit_code = 16


class NotFinite(ReconError):
    """A number in the input is NaN or infinite."""

    exit_code = 17


# --- what was asked for ------------------------------------------------------------------------------------------------


class BadParameters(ReconError):
    """A parameter is unknown, out of bounds or of the wrong type."""

    exit_code = 20


class CenterNotFound(ReconError):
    """The centre of rotation could not be estimated."""

    exit_code = 21


class BadName(ReconError):
    """The name cannot be used for files."""

    exit_code = 22


# --- the output --------------------------------------------------------------------------------------------------------


class OutputNotWritable(ReconError):
    """The output directory cannot be created or written by this account."""

    exit_code = 30


class DiskFull(ReconError):
    """The output does not fit on its disk or into the quota."""

    exit_code = 31


class OutputBusy(ReconError):
    """Another living process writes the same output."""

    exit_code = 32


class OutputIncomplete(ReconError):
    """The output was written, but reading it back shows that it is not what was meant."""

    exit_code = 33


# --- the machine -------------------------------------------------------------------------------------------------------


class NotEnoughMemory(ReconError):
    """The work does not fit into the memory of the machine or into the given budget."""

    exit_code = 40


def exit_code_table() -> dict[str, int]:
    """Name of each error class and its exit code, in the order of the codes."""
    return dict(sorted(((kind.__name__, kind.exit_code) for kind in ReconError.tree()), key=lambda item: item[1]))


@contextmanager
def explained_output(place: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write under ``place`` into ours.

    Raises DiskFull (no space, quota, file too large) and OutputNotWritable (any other refusal).
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"The disk of {place} is full ({error.strerror}).",
                next_step="Free space or choose another --output, then run the same command again; finished slices are kept.",
            ) from error
        raise OutputNotWritable(
            f"Cannot write {error.filename or place}: {error.strerror or error}.",
            next_step="Check that the output directory exists on this machine and belongs to this account.",
        ) from error
