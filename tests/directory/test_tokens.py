"""Known tokens, whatever their case."""

import pytest

from berth.database import TOKEN_STATUSES, Directory, Token


async def test_a_token_is_found_whatever_its_case(directory: Directory) -> None:
    await directory.tokens.put(Token("Card-7a", parent_id_tag="Fleet", status="Blocked"))
    assert await directory.tokens.by_id_tag("cARD-7A") == Token("Card-7a", "Fleet", "Blocked")
    assert await directory.tokens.by_id_tag("Card-7") is None


async def test_a_token_put_again_is_changed(directory: Directory) -> None:
    await directory.tokens.put(Token("CARD"))
    await directory.tokens.put(Token("card", parent_id_tag="Fleet"))
    assert await directory.tokens.by_id_tag("CARD") == Token("card", "Fleet", "Accepted")


@pytest.mark.parametrize("status", sorted(TOKEN_STATUSES))
async def test_a_token_has_any_status_a_charger_may_be_told(directory: Directory, status: str) -> None:
    await directory.tokens.put(Token("x" * 36, "y" * 36, status))
    assert await directory.tokens.by_id_tag("X" * 36) == Token("x" * 36, "y" * 36, status)


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
    directory: Directory, token: Token, field: str
) -> None:
    with pytest.raises(ValueError, match=f"^{field}: must "):
        await directory.tokens.put(token)
    assert await directory.tokens.all() == []


async def test_a_removed_token_is_unknown(directory: Directory) -> None:
    await directory.tokens.put(Token("Card"))
    assert await directory.tokens.remove("CARD")
    assert await directory.tokens.by_id_tag("Card") is None
    assert not await directory.tokens.remove("Card")


async def test_tokens_are_listed_page_by_page(directory: Directory) -> None:
    tags = ["Delta", "alpha", "Echo", "bravo", "Charlie"]
    for tag in tags:
        await directory.tokens.put(Token(tag))
    pages, last = [], ""
    while page := await directory.tokens.all(limit=2, after=last):
        pages.append([token.id_tag for token in page])
        last = page[-1].id_tag
    assert pages == [["alpha", "bravo"], ["Charlie", "Delta"], ["Echo"]]
