"""Where webhooks may point."""

from collections.abc import Sequence

import httpx
import pytest

from webhooks.target import TargetRefused, checked_addresses, is_public, parse, receiver_of


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "8.8.8.8",
        "2606:2800:220:1::1",
        "2a00:1450:4001::1",
        "2002:5db8:d822::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # where clouds keep their machines' credentials
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "192.0.0.8",
        "192.88.99.1",  # a relay of 6to4, for whatever network announces it
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:2800:220:1::1%eth0",
        "fec0::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "5f00::1",
        "100::1",
        "100:0:0:1::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::10.0.0.1",
        "64:ff9b:1::8.8.8.8",
        "::8.8.8.8",
        "2002:a00:1::1",
        "2001:0:53aa:64c:0:0:f5ff:fffe",
        "2001:0:53aa:64c:0:0:f7f7:f7f7",
    ],
)
def test_any_other_address_is_not_however_it_is_wrapped(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must be a URL"),
        ("app.example", "must be a URL"),
        ("ftp://app.example/", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://a\nb/", "must be a URL"),
        ("file:///etc/passwd", "must be a URL"),
        ("https://app.example:0/", "a port that exists"),
        ("https://app.example:70000/", "a port that exists"),
        ("http://app.example/", "must begin with https://"),
        ("https://user:word@app.example/", "no user name or password"),
        ("https://user@app.example/", "no user name or password"),
        ("https://app.example/" + "a" * 2048, "at most 2048 characters"),
    ],
)
def test_a_url_of_another_form_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(TargetRefused, match=sentence):
        parse(url, allow_private=False)


def test_a_setting_allows_http() -> None:
    assert parse("http://127.0.0.1:8000/x", allow_private=True).port == 8000


async def addresses_of(url: str, found: Sequence[str] | OSError, allow_private: bool = False) -> list[str]:
    asked: list[tuple[str, int]] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        if isinstance(found, OSError):
            raise found
        return found

    try:
        return await checked_addresses(httpx.URL(url), allow_private, resolver)
    finally:
        assert len(asked) == 1, "looked up once: a second answer may be another one"


async def test_every_address_of_a_name_must_be_public() -> None:
    assert await addresses_of("https://app.example", ["8.8.8.8", "8.8.4.4"]) == ["8.8.8.8", "8.8.4.4"]
    with pytest.raises(TargetRefused, match="BERTH_WEBHOOK_PRIVATE_TARGETS"):
        await addresses_of("https://app.example", ["8.8.8.8", "10.0.0.1"])
    assert await addresses_of("https://app.example", ["10.0.0.1"], allow_private=True) == ["10.0.0.1"]


@pytest.mark.parametrize("found", [[], OSError("no such host")])
async def test_a_name_that_nobody_knows_is_refused(found: Sequence[str] | OSError) -> None:
    with pytest.raises(TargetRefused, match="no name server knows"):
        await addresses_of("https://app.example", found)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"])
async def test_other_spellings_of_this_machine_are_refused_too(host: str) -> None:
    with pytest.raises(TargetRefused):
        await checked_addresses(parse(f"https://{host}/", False), False)


def test_receivers_are_told_apart_by_host_and_port() -> None:
    assert (
        receiver_of("https://app.example/a")
        == receiver_of("https://app.example:443/b?c")
        == "app.example:443"
    )
    assert receiver_of("http://app.example/") == "app.example:80"
