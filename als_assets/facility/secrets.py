"""Secrets by reference: configuration names a file or a variable, never a value; the value is read when it is needed.

Here: the reference, its reading, and the search for secrets that were pasted into a file by mistake. Not here: what the
secret is used for, and any place that could print it (``repr`` shows the reference only).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from als_assets.errors import SecretUnavailable

# Private keys, JSON web tokens and keys, long random words that follow a telling name, and addresses with a password.
_LOOKS_SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{10,}\.[\w-]{10,}\.|\"?kty\"?\s*:\s*\"?RSA|"
    r"(?i:secret|password|passwd|token|private_key)[\"']?\s*[:=]\s*[\"']?[^\s{}\"'#]{8,}|"
    r"://[^\s/@]+:[^\s/@]+@"
)


class SecretRef(BaseModel):
    """Where a secret is: ``{file: PATH}`` (mode 0600 or 0400) or ``{env: VARIABLE}`` (capitals: what looks otherwise may be a value)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = None
    env: Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("give exactly one of 'file' and 'env'; a value itself never belongs into this file")
        return self

    def below(self, base: Path) -> Self:
        """The same with a relative file taken from ``base``, the folder of the file that names it."""
        return self if self.file is None else self.model_copy(update={"file": base / self.file})

    def read(self) -> str:
        """The secret, without surrounding white space.

        Raises:
            SecretUnavailable: absent, empty, or a file that its group or others may read.
        """
        value = self._from_file(self.file) if self.file is not None else os.environ.get(self.env or "", "")
        if not value.strip():
            raise SecretUnavailable(f"The secret {self} is empty or not set.", next_step=f"Provide {self} and try again.")
        return value.strip()

    def _from_file(self, path: Path) -> str:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & 0o077:
                raise SecretUnavailable(
                    f"The secret file {path} can be read by other accounts (mode {mode:04o}).",
                    next_step=f"Run: chmod 600 {path}",
                )
            return path.read_text()
        except OSError as error:
            raise SecretUnavailable(
                f"The secret file {path} cannot be read: {error.strerror}.", next_step="Create the file with mode 0600."
            ) from error
        except UnicodeDecodeError:  # not chained: its text shows the bytes
            raise SecretUnavailable(f"The secret file {path} is not text (UTF-8).", next_step="Write the secret there as text.") from None

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"variable {self.env}"


def find_pasted_secret(text: str) -> int | None:
    """The number (from 1) of the first line that looks as if it held a secret's value, or None."""
    for number, line in enumerate(text.splitlines(), start=1):
        if _LOOKS_SECRET.search(line):  # also in a comment: there it would be just as readable
            return number
    return None
