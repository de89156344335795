"""SciCat's many ways to say no. Here: words and errors out of responses. Not here: when requests are repeated."""

from __future__ import annotations

import json

import httpx
import pytest

from als_assets.catalogue.answers import refusal, scrub, words
from als_assets.errors import (
    AlsError,
    CatalogueConflict,
    CatalogueRefused,
    CredentialsRejected,
    RecordInvalid,
    ServiceUnreachable,
)

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VybmFtZSI6ImluZ2VzdG9yIn0.c2lnbmF0dXJl-_x"
V3_PROBLEMS = json.dumps(
    [
        {"property": "contactEmail", "children": [], "constraints": {"customEmailList": "Expected an email, got x"}},
        {"property": "techniques", "children": [{"property": "0", "children": [], "constraints": {"isString": "pid must be"}}]},
    ]
)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            httpx.Response(400, json={"status": 400, "message": V3_PROBLEMS}),
            "contactEmail: Expected an email, got x; 0: pid must be",
        ),
        (httpx.Response(400, json={"message": ["a must be b", "c"], "error": "Bad Request", "statusCode": 400}), "a must be b; c"),
        (httpx.Response(401, json={"message": "SESSION_EXPIRED"}), "SESSION_EXPIRED"),
        (httpx.Response(404, json={"message": "dataset: X not found", "error": "Not Found"}), "dataset: X not found"),
        (httpx.Response(500, json="Internal server error"), "Internal server error"),
        (httpx.Response(500, json={}), "Internal Server Error"),
        (
            httpx.Response(500, json={"errors": {"datasetName": {"message": "Path `datasetName` is required."}}}),
            "Path `datasetName` is required.",
        ),
        (httpx.Response(502, text="<html><head><title>502 Bad\n Gateway</title></head></html>"), "502 Bad Gateway"),
        (httpx.Response(503, text="down for maintenance"), "down for maintenance"),
        (httpx.Response(500, content=b""), "Internal Server Error"),
        (httpx.Response(500, content=b"\xff\xfe"), "\N{REPLACEMENT CHARACTER}" * 2),
        (httpx.Response(400, json={"message": "[not json"}), "[not json"),
        (httpx.Response(400, json=None), "Bad Request"),
        (httpx.Response(400, json={"message": "x" * 5000}), "x" * 600),
    ],
)
def test_words(response: httpx.Response, said: str) -> None:
    assert words(response) == said


@pytest.mark.parametrize(
    "text",
    [
        f"Cannot POST /api/v3/x?access_token={TOKEN}",
        f"invalid token {TOKEN}",
        f'{{"authorization": "Bearer {TOKEN}"}}',
        "Bearer abcdef",
        "access_token=abc&x=1",
    ],
)
def test_tokens_are_struck_out(text: str) -> None:
    cleaned = scrub(text)
    assert "***" in cleaned
    assert not any(part in cleaned for part in (TOKEN, TOKEN[:20], "abcdef", "abc&"))


def test_known_secrets_are_struck_out_wherever_they_appear() -> None:
    response = httpx.Response(400, json={"message": ["user ingestor with password hunter22 refused"]})
    assert words(response, ["hunter22"]) == "user ingestor with password *** refused"


@pytest.mark.parametrize(
    ("status", "creating", "kind"),
    [
        (400, True, RecordInvalid),
        (413, True, RecordInvalid),
        (400, False, CatalogueRefused),
        (401, True, CredentialsRejected),
        (403, True, CatalogueRefused),
        (404, False, CatalogueRefused),
        (405, False, CatalogueRefused),
        (302, False, CatalogueRefused),
        (409, True, CatalogueConflict),
        (412, False, CatalogueConflict),
        (429, True, ServiceUnreachable),
        (500, True, ServiceUnreachable),
        (502, True, ServiceUnreachable),
        (599, False, ServiceUnreachable),
    ],
)
def test_every_status_has_its_error(status: int, creating: bool, kind: type[AlsError]) -> None:
    error = refusal(httpx.Response(status, json={"message": "because"}), "create the record x/1", creating=creating)
    assert type(error) is kind
    assert "create the record x/1" in error.sentence
    assert "because" in error.sentence
    assert error.details["status"] == status
    assert error.next_step
