"""Known tokens, whatever their case."""

import pytest

from berth.database import TOKEN_STATUSES, Database, Token


async def test_a_token_is_found_whatever_its_case(database: Database) -> None:
    await database.tokens.put(Token("Card-7a", parent_id_tag="Fleet", status="Blocked"))
    assert await database.tokens.by_id_tag("cARD-7A") == Token("Card-7a", "Fleet", "Blocked")
    assert await database.tokens.by_id_tag("Card-7") is None


async def test_a_token_put_again_is_changed(database: Database) -> None:
    await database.tokens.put(Token("CARD"))
    await database.tokens.put(Token("card", parent_id_tag="Fleet"))
    assert await database.tokens.by_id_tag("CARD") == Token("card", "Fleet", "Accepted")


@pytest.mark.parametrize("status", sorted(TOKEN_STATUSES))
async def test_a_token_has_any_status_a_charger_may_be_told(database: Database, status: str) -> None:
    await database.tokens.put(Token("x" * 36, "y" * 36, status))
    assert await database.tokens.by_id_tag("X" * 36) == Token("x" * 36, "y" * 36, status)


@pytest.mark.parametrize(
    ("token", "field"),
    [
        (Token(""), "id_tag"),
        (Token("x" * 37), "id_tag"),
        (Token("a\nb"), "id_tag"),
        (Token("CARD", ""), "parent_id_tag"),
        (Token("CARD", "x" * 37), "parent_id_tag"),
        (Token("CARD", status="accepted"), "status"),
    ],
)
async def test_a_token_that_no_charger_could_name_is_refused(
    database: Database, token: Token, field: str
) -> None:
    with pytest.raises(ValueError, match=f"^{field}: must "):
        await database.tokens.put(token)
    assert await database.tokens.all() == []


async def test_a_removed_token_is_unknown(database: Database) -> None:
    await database.tokens.put(Token("Card"))
    assert await database.tokens.remove("CARD")
    assert await database.tokens.by_id_tag("Card") is None
    assert not await database.tokens.remove("Card")


async def test_tokens_are_listed_page_by_page(database: Database) -> None:
    tags = ["Delta", "alpha", "Echo", "bravo", "Charlie"]
    for tag in tags:
        await database.tokens.put(Token(tag))
    pages, last = [], ""
    while page := await database.tokens.all(limit=2, after=last):
        pages.append([token.id_tag for token in page])
        last = page[-1].id_tag
    assert pages == [["alpha", "bravo"], ["Charlie", "Delta"], ["Echo"]]
