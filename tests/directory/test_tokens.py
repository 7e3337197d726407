"""Known tokens, whatever their case."""

from directory import Directory, Token


async def test_a_token_is_found_whatever_its_case(directory: Directory) -> None:
    await directory.tokens.put(Token("Card-7a", parent_id_tag="Fleet", status="Blocked"))
    assert await directory.tokens.by_id_tag("cARD-7A") == Token("Card-7a", "Fleet", "Blocked")
    assert await directory.tokens.by_id_tag("Card-7") is None


async def test_a_token_put_again_is_changed(directory: Directory) -> None:
    await directory.tokens.put(Token("CARD"))
    await directory.tokens.put(Token("card", parent_id_tag="Fleet"))
    assert await directory.tokens.by_id_tag("CARD") == Token("card", "Fleet", "Accepted")
