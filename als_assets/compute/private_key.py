"""The private key of a service client, as a JSON Web Key or as PEM text, read anew at every use.

Here: reading and checking it, with nothing of it in any error. Not here: what it signs (``sfapi``, ``iri``).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from als_assets.errors import SecretUnavailable
from als_assets.facility.secrets import SecretRef


def private_key(reference: SecretRef) -> dict[str, Any] | str:
    """A JWK as a table and PEM as text: the other forms fail with some versions of Authlib.

    Raises:
        SecretUnavailable: it cannot be read, or is no private key.
    """
    text = reference.read()
    if not _usable(text):
        raise SecretUnavailable(f"The {reference} holds no private key (JWK or PEM).", next_step="Put the client's private key there.")
    return _parsed(text)


def _parsed(text: str) -> dict[str, Any] | str:
    return dict(json.loads(text)) if text.startswith("{") else text


@lru_cache(maxsize=4)
def _usable(text: str) -> bool:
    """Remembered, because the arithmetic of a key takes as long as ten requests."""
    try:
        return bool(RSAKey.import_key(_parsed(text)).is_private)
    except (ValueError, JoseError):
        return False  # nothing of that error is shown: it may quote the key
