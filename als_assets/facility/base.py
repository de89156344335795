"""The base of every model in a facility file, and the kinds of text that they share.

Here: strictness, names, paths and addresses. Not here: any entry of the file (``identities``, ``compute``, ``models``).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Unknown keys are refused: a misspelt key must never be silently a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _absolute(path: PurePosixPath) -> PurePosixPath:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError(f"'{path}' must be an absolute path without '..'")
    return path


def _http(url: str) -> str:
    if url and not re.match(r"https?://[^\s]+$", url):
        raise ValueError(f"'{url}' is not an http(s) address")
    return url.rstrip("/")


AbsolutePath = Annotated[PurePosixPath, AfterValidator(_absolute)]
Url = Annotated[str, AfterValidator(_http)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
