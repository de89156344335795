"""Certificates, read once for each process: every httpx client reads them anew, 20 ms each, and tests make hundreds of clients that
talk to loopback without TLS. Here: this alone.
"""

from __future__ import annotations

import functools

import httpx
from httpx._transports import default


def read_once() -> None:
    default.create_ssl_context = functools.cache(httpx.create_ssl_context)
