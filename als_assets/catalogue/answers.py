"""What SciCat answered: the words in its many shapes of error, free of secrets, as the errors of the platform.

Here: pure functions over responses. Not here: sending requests, or deciding what to do about an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

import httpx

from als_assets.errors import (
    AlsError,
    CatalogueConflict,
    CatalogueRefused,
    CredentialsRejected,
    RecordInvalid,
    ServiceUnreachable,
)

TRANSIENT = frozenset({429, 502, 503, 504})
_MAX_WORDS = 600
_TOKEN = re.compile(r"access_token=[^&\s\"']+|eyJ[\w-]+(?:\.[\w-]*){1,2}|Bearer\s+\S+", re.IGNORECASE)
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_RIGHTS = "Give the account the missing right in SciCat (create, read back, update), or use the account that has it"
_LATER = "Nothing is lost: re-execute from failure when SciCat answers again; call its operators if this lasts."


def scrub(text: str, secrets: Collection[str] = ()) -> str:
    """The text without tokens: SciCat repeats addresses and headers in its messages."""
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "***")
    return _TOKEN.sub("***", text)


def words(response: httpx.Response, secrets: Collection[str] = ()) -> str:
    """What the server said, in one line; every shape that SciCat and the proxies before it use."""
    try:
        said = _flatten(response.json())
    except (json.JSONDecodeError, UnicodeDecodeError):
        title = _TITLE.search(response.text)
        said = title.group(1) if title else response.text
    said = " ".join(scrub(said, secrets).split())[:_MAX_WORDS]
    return said or response.reason_phrase or "no words"


def _flatten(answer: Any) -> str:
    if isinstance(answer, str):
        return _inner_json(answer)
    if isinstance(answer, list):
        return "; ".join(filter(None, (_flatten(item) for item in answer)))
    if not isinstance(answer, dict):
        return "" if answer is None else str(answer)
    if "constraints" in answer or "children" in answer:
        return _constraint(answer)
    if "errors" in answer and isinstance(answer["errors"], dict):
        return "; ".join(_flatten(item) for item in answer["errors"].values())
    return _flatten(answer.get("message") or answer.get("error") or "")


def _inner_json(text: str) -> str:
    """The v3 dataset routes put a JSON list of problems into a text."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return _flatten(json.loads(text))
    except json.JSONDecodeError:
        return text


def _constraint(problem: dict[str, Any]) -> str:
    reasons = problem.get("constraints") or {}
    own = [f"{problem.get('property', '?')}: {', '.join(map(str, reasons.values()))}"] if reasons else []
    return "; ".join([*own, *(_flatten(child) for child in problem.get("children") or [])])


def refusal(response: httpx.Response, action: str, *, creating: bool, secrets: Collection[str] = ()) -> AlsError:
    """The error for an answer that is none of 2xx and 404; ``action`` is what we wanted, "create the record X"."""
    status, said = response.status_code, words(response, secrets)
    sentence = f"SciCat would not {action}: {said} ({status})"
    if status == 401:
        return CredentialsRejected(sentence, next_step="Check the user name and the password of the catalogue's account", status=status)
    if status in (409, 412):
        return CatalogueConflict(sentence, next_step="Look at the record in SciCat: who else writes it?", status=status)
    if status in (400, 413, 422) and creating:
        return RecordInvalid(sentence, next_step="Correct the field that SciCat names; nothing was written", status=status)
    if status >= 500 or status in TRANSIENT:
        return ServiceUnreachable(f"SciCat failed to {action}: {said} ({status})", next_step=_LATER, status=status)
    return CatalogueRefused(sentence, next_step=_RIGHTS if status == 403 else "Compare the request with SciCat's version", status=status)


def unreachable(action: str, reason: str) -> ServiceUnreachable:
    """The error for no answer at all."""
    return ServiceUnreachable(f"SciCat did not answer the request to {action}: {reason}", next_step=_LATER)
