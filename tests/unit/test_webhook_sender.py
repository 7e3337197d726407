"""One attempt: a signed POST to the address that was checked, and to no other."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.launch.commands import ROOT
from tests.patience import at_most
from tests.receiver import Receiver
from webhooks.sender import HEADER, Outcome, Sender, signature
from worker import DELIVERIES_AT_ONCE

SECRET = "whsec_test"
BODY = b'{"id":"e-1","type":"ping"}'


async def send(url: str, sender: Sender | None = None) -> Outcome:
    return await (sender or Sender(allow_private=True)).send(url, SECRET, "e-1", "ping", BODY)


def resolving_to(*addresses: str) -> Sender:
    """A sender whose name server knows these addresses of every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return Sender(allow_private=True, resolve=resolve)


async def test_an_event_is_posted_with_its_id_its_type_and_a_signature_of_this_attempt() -> None:
    async with Receiver() as receiver:
        before = int(time.time())
        assert await send(receiver.url) == Outcome(200)
        assert (await send(receiver.url)).is_delivered
    first, second = receiver.received
    assert (first.path, first.body) == ("/berth?token=1", BODY)
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert first.headers["content-type"] == "application/json"
    assert (first.headers["berth-event-id"], first.headers["berth-event-type"]) == ("e-1", "ping")
    for call in (first, second):
        said = call.headers[HEADER.lower()]
        timestamp = int(said.partition(",")[0].removeprefix("t="))
        assert before <= timestamp <= time.time()
        assert said == signature(SECRET, timestamp, BODY)


async def test_the_page_shows_how_to_verify_a_signature() -> None:
    page = (ROOT / "docs" / "how-to" / "webhooks.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.S)
    names: dict[str, object] = {}
    exec(example, names)
    verify = names["is_from_berth"]
    assert callable(verify)
    now = int(time.time())
    good = signature(SECRET, now, BODY)
    assert verify(SECRET, good, BODY)
    assert not verify(SECRET, good, BODY + b" ")
    assert not verify("whsec_other", good, BODY)
    assert not verify(SECRET, signature(SECRET, now - 3600, BODY), BODY), (
        "an old call, sent again by somebody"
    )
    assert not verify(SECRET, "t=1", BODY)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with Receiver() as elsewhere, Receiver(status=status) as receiver:
        receiver.headers = f"Location: {elsewhere.url}\r\n"
        outcome = await send(receiver.url)
    assert (outcome.is_delivered, outcome.status) == (False, status)
    assert "not followed" in (outcome.error or "")
    assert elsewhere.received == []


@pytest.mark.parametrize("status", [204, 299])
async def test_any_2xx_is_a_yes(status: int) -> None:
    async with Receiver(status=status) as receiver:
        assert (await send(receiver.url)).is_delivered


@pytest.mark.parametrize("status", [199 + 201, 404, 410, 500, 503])
async def test_anything_else_is_not(status: int) -> None:
    async with Receiver(status=status) as receiver:
        assert await send(receiver.url) == Outcome(status, f"HTTP {status}")


async def test_a_receiver_that_hangs_costs_so_many_seconds_and_no_more() -> None:
    async with Receiver(hangs=True) as receiver:
        started = time.monotonic()
        outcome = await send(receiver.url, Sender(allow_private=True, timeout=0.5))
    assert not outcome.is_delivered
    assert "no answer within" in (outcome.error or "")
    assert time.monotonic() - started < at_most(5)


async def test_a_name_server_that_hangs_costs_no_more_either() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError

    outcome = await send("http://app.example/", Sender(allow_private=True, resolve=resolve, timeout=0.2))
    assert "no answer within" in (outcome.error or "")


async def test_names_whose_look_up_hangs_keep_no_other_receiver_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    asked: Counter[str] = Counter()
    look_up = socket.getaddrinfo

    def hanging(host: str, port: int, **options: int) -> object:
        if not host.endswith(".hangs.example"):
            return look_up(host, port, **options)
        asked[host] += 1
        released.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answers")

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    urls = [f"http://{number}.hangs.example/" for number in range(DELIVERIES_AT_ONCE)]
    impatient = Sender(allow_private=True, timeout=0.5)
    try:
        for _ in range(2):
            outcomes = await asyncio.gather(*(send(url, impatient) for url in urls))
            assert all("no answer within" in (outcome.error or "") for outcome in outcomes)
        async with Receiver() as receiver:
            assert (await send(f"http://localhost:{receiver.port}/")).is_delivered
        assert len(asked) == len(urls)
        assert set(asked.values()) == {1}, "looked up again while the first look-up was under way"
    finally:
        released.set()


async def test_who_waits_for_the_look_up_of_another_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    asked: list[str] = []

    def slow(host: str, port: int, **options: int) -> object:
        asked.append(host)
        assert released.wait(60)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    async with Receiver() as receiver:
        url = f"http://slow.example:{receiver.port}/"
        try:
            patient = asyncio.create_task(send(url))
            impatient = await send(url, Sender(allow_private=True, timeout=0.1))
            assert "no answer within" in (impatient.error or "")
        finally:
            released.set()
        assert (await patient).is_delivered
        assert asked == ["slow.example"]
        assert (await send(url)).is_delivered
    assert asked == ["slow.example"] * 2, "an answer is for those who wait, and is not kept"


async def test_the_body_of_an_answer_is_not_read() -> None:
    async with Receiver(endless=True) as receiver:
        assert await asyncio.wait_for(send(receiver.url), 8) == Outcome(200)


async def test_nobody_there_is_a_sentence_without_the_url(free_port: int) -> None:
    outcome = await send(f"http://127.0.0.1:{free_port}/token-in-the-path")
    assert outcome == Outcome(error="no connection")


async def test_the_call_goes_to_the_checked_address_under_the_name_of_its_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with Receiver() as receiver:
        url = f"http://app.example:{receiver.port}/x"
        assert (await send(url, resolving_to("127.0.0.1"))).is_delivered
    assert receiver.received[0].headers["host"] == f"app.example:{receiver.port}"


async def test_the_next_address_of_a_name_is_tried_when_the_first_is_dead() -> None:
    async with Receiver() as receiver:
        url = f"http://app.example:{receiver.port}/x"
        assert (await send(url, resolving_to("127.0.0.2", "127.0.0.1"))).is_delivered


async def test_a_private_address_is_never_connected_to() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    async with Receiver() as receiver:
        outcome = await send(
            f"https://app.example:{receiver.port}/", Sender(allow_private=False, resolve=resolve)
        )
    assert "private network" in (outcome.error or "")
    assert receiver.connections == 0


async def test_the_certificate_must_be_for_the_name_not_for_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.certify("app.example"))
    async with Receiver(tls=context) as receiver:
        sender = resolving_to("127.0.0.1")
        assert (await send(f"https://app.example:{receiver.port}/", sender)).is_delivered
        outcome = await send(f"https://other.example:{receiver.port}/", sender)
        assert "certificate is not good" in (outcome.error or "")
        monkeypatch.delenv("SSL_CERT_FILE")
        stranger = await send(f"https://app.example:{receiver.port}/", resolving_to("127.0.0.1"))
        assert "certificate is not good" in (stranger.error or "")
    assert len(receiver.received) == 1
