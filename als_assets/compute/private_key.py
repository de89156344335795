"""The private key of a service client, as a JSON Web Key or as PEM text, read anew at every use.

Here: reading and checking it, with nothing of it in any error. Not here: what it signs (``sfapi``, ``iri``).
"""

from __future__ import annotations

import json
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
    try:
        key: dict[str, Any] | str = json.loads(text) if text.startswith("{") else text
        usable = RSAKey.import_key(key).is_private
    except (ValueError, JoseError):
        usable = False  # nothing of that error is shown: it may quote the key
    if not usable:
        raise SecretUnavailable(f"The {reference} holds no private key (JWK or PEM).", next_step="Put the client's private key there.")
    return key
