"""/api/tokens."""

from typing import Any

import httpx
import pytest

from berth.database import Database, Token
from tests.api.conftest import Caller

TOKENS = "/api/tokens"


async def test_a_token_is_listed_with_its_group_and_changed_whole(
    http: httpx.AsyncClient, database: Database
) -> None:
    body = {"idTag": "Card-1", "parentIdTag": "FLEET-1", "status": "Blocked"}
    response = await http.put(TOKENS, json=body)
    assert response.status_code == 200
    assert response.json() == {"data": body}
    assert await database.tokens.by_id_tag("card-1") == Token("Card-1", "FLEET-1", "Blocked")

    response = await http.put(TOKENS, json={"idTag": "CARD-1"})

    assert response.json() == {"data": {"idTag": "CARD-1", "parentIdTag": None, "status": "Accepted"}}
    assert await database.tokens.all() == [Token("CARD-1", None, "Accepted")]


async def test_a_token_is_forgotten_whatever_its_case(http: httpx.AsyncClient, database: Database) -> None:
    await database.tokens.put(Token("Card-1"))
    response = await http.delete(TOKENS, params={"idTag": "CARD-1"})
    assert (response.status_code, response.content) == (204, b"")
    assert await database.tokens.all() == []
    response = await http.delete(TOKENS, params={"idTag": "CARD-1"})
    assert response.status_code == 404
    assert response.json() == {"error": "idTag: is not listed"}


async def test_the_list_goes_on_from_page_to_page(http: httpx.AsyncClient, database: Database) -> None:
    for id_tag in ("B", "ä 1", "c", "A"):
        await database.tokens.put(Token(id_tag))
    seen: list[str] = []
    parameters: dict[str, Any] = {"limit": 2}
    for has_next_page in (True, False):
        page = (await http.get(TOKENS, params=parameters)).json()
        seen += [token["idTag"] for token in page["data"]]
        assert page["pagination"]["hasNextPage"] is has_next_page
        parameters["nextPageCursor"] = page["pagination"]["nextPageCursor"]
    assert seen == ["A", "B", "c", "ä 1"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "idTag: is required"),
        ({"idTag": None}, "idTag: must be a valid string"),
        ({"idTag": ""}, "idTag: must have at least 1 character"),
        ({"idTag": "x" * 37}, "idTag: must have at most 36 characters"),
        ({"idTag": "a\x00b"}, "idTag: must have printable characters only"),
        ({"idTag": "A", "parentIdTag": ""}, "parentIdTag: must have at least 1 character"),
        (
            {"idTag": "A", "status": "accepted"},
            "status: must be 'Accepted', 'Blocked', 'Expired' or 'Invalid'",
        ),
    ],
)
async def test_a_field_that_breaks_a_rule_is_400_and_nothing_is_listed(
    http: httpx.AsyncClient, database: Database, body: dict[str, Any], sentence: str
) -> None:
    response = await http.put(TOKENS, json=body)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}
    assert await database.tokens.all() == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "idTag: is required"),
        ({"idTag": ""}, "idTag: must have at least 1 character"),
        ({"idTag": "x" * 37}, "idTag: must have at most 36 characters"),
    ],
)
async def test_what_to_forget_must_be_a_token(
    http: httpx.AsyncClient, parameters: dict[str, str], sentence: str
) -> None:
    response = await http.delete(TOKENS, params=parameters)
    assert response.status_code == 400
    assert response.json() == {"error": sentence}


@pytest.mark.parametrize("scope", [{"site_ids": ["site-1"]}, {"charger_ids": [1]}], ids=str)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_key_for_some_chargers_has_no_say_in_tokens(
    caller: Caller, database: Database, method: str, scope: dict[str, Any]
) -> None:
    raw_key, _ = await database.keys.create("scoped", ["admin"], **scope)
    response = await caller(raw_key).request(method, TOKENS, params={"idTag": "A"}, json={"idTag": "A"})
    assert response.status_code == 403
    assert response.json() == {
        "error": "tokens are good at every charger: this API key is for some of them only"
    }
