"""The error tree: codes are unique and documented, refusals of the system become ours.

Here: promises of errors.py. What belongs here is the tree as a whole. Not here: when a single error is raised.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from als_assets.recon import errors


def test_every_error_has_its_own_exit_code_in_the_documented_range() -> None:
    table = errors.exit_code_table()
    assert len(set(table.values())) == len(table) == len(list(errors.ReconError.tree()))
    assert all(2 < code < 126 for code in table.values())
    assert list(table.values()) == sorted(table.values())


def test_every_error_explains_itself_in_its_docstring() -> None:
    assert all(kind.__doc__ and kind.__doc__.endswith(".") for kind in errors.ReconError.tree())


def test_an_error_carries_sentence_and_next_step() -> None:
    error = errors.ZeroFlats("No light.", next_step="Open the shutter.")
    assert (str(error), error.sentence, error.next_step) == ("No light.", "No light.", "Open the shutter.")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.DiskFull),
        (errno.EDQUOT, errors.DiskFull),
        (errno.EFBIG, errors.DiskFull),
        (errno.EACCES, errors.OutputNotWritable),
        (errno.EROFS, errors.OutputNotWritable),
    ],
)
def test_refusals_of_the_system_are_named(number: int, kind: type[errors.ReconError]) -> None:
    with pytest.raises(kind) as caught, errors.explained_output(Path("/data/result")):
        raise OSError(number, "reason")
    assert "/data/result" in caught.value.sentence
    assert caught.value.next_step


def test_other_exceptions_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), errors.explained_output(Path("x")):
        raise ZeroDivisionError
