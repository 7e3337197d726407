"""The codec server: it decrypts for those who have its token, and for pages of the Temporal UI."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from google.protobuf import json_format
from pydantic import SecretStr
from temporalio.api.common.v1 import Payloads

from berth.errors import StartError
from berth.payload_keys import PayloadKey, parse_keys
from berth.settings import Settings
from berth.temporal.codec import data_converter
from cli.codec_server import MAX_BODY, codec_app
from tests.launch.commands import berth, berth_here
from tests.launch.waiting import until

KEY = PayloadKey("one", bytes(32)).in_setting()
TOKEN = "codec-server-token-0123456789abcdef"
CARD = "CARD-SECRET-4711"


def a_client(**settings: object) -> httpx.AsyncClient:
    values = {"payload_key": KEY, "codec_token": TOKEN} | settings
    app = codec_app(Settings.model_validate(values))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8081")


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with a_client() as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


async def encrypted(key: str = KEY) -> str:
    payloads = Payloads(payloads=await data_converter(SecretStr(key)).encode([CARD]))
    return json_format.MessageToJson(payloads)


async def test_it_decrypts_what_berth_wrote_and_encrypts_what_berth_reads(client: httpx.AsyncClient) -> None:
    plain = await client.post("/decode", content=await encrypted())
    assert plain.status_code == 200
    [payload] = json_format.Parse(plain.content, Payloads()).payloads
    assert payload.data == f'"{CARD}"'.encode()

    sealed = await client.post("/encode", content=plain.content)
    payloads = json_format.Parse(sealed.content, Payloads()).payloads
    assert payloads[0].metadata["encoding"] == b"binary/encrypted"
    assert await data_converter(SecretStr(KEY)).decode(payloads, [str]) == [CARD]


async def test_it_leaves_plain_payloads_as_they_are(client: httpx.AsyncClient) -> None:
    plain = {"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}]}
    assert (await client.post("/decode", json=plain)).json() == plain


@pytest.mark.parametrize("given", [None, "Bearer wrong", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"])
@pytest.mark.parametrize("path", ["/encode", "/decode"])
async def test_nobody_without_the_token_is_served(path: str, given: str | None) -> None:
    async with a_client() as client:
        headers = {b"Authorization": given.encode()} if given else {}
        answer = await client.post(path, content=await encrypted(), headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"error": "the codec server's bearer token is required"}


async def test_on_a_loopback_address_it_needs_no_token() -> None:
    async with a_client(codec_token=None) as client:
        assert (await client.post("/decode", content=await encrypted())).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8081", "LOCALHOST:8081", "[::1]", "[::1]:8081"])
async def test_without_a_token_it_answers_to_names_of_this_machine(host: str) -> None:
    async with a_client(codec_token=None) as client:
        answer = await client.post("/decode", content=await encrypted(), headers={"Host": host})
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example"])
async def test_a_name_that_was_made_to_lead_here_opens_nothing_without_a_token(host: str) -> None:
    async with a_client(codec_token=None) as client:
        answer = await client.post("/decode", content=await encrypted(), headers={"Host": host})
    assert answer.status_code == 400
    assert "data" not in answer.text


async def test_the_address_it_listens_on_is_a_name_of_this_machine() -> None:
    async with a_client(codec_token=None, codec_host="127.0.0.7") as client:
        headers = {"Host": "127.0.0.7:8081"}
        assert (await client.post("/decode", content=await encrypted(), headers=headers)).status_code == 200


async def test_with_a_token_its_name_does_not_matter(client: httpx.AsyncClient) -> None:
    headers = {"Host": "codec.example"}
    assert (await client.post("/decode", content=await encrypted(), headers=headers)).status_code == 200


async def test_a_payload_of_an_unknown_key_is_a_sentence_with_the_key(client: httpx.AsyncClient) -> None:
    answer = await client.post("/decode", content=await encrypted(PayloadKey("lost", bytes(32)).in_setting()))
    assert answer.status_code == 400
    assert "'lost'" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"payloads": 1}', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_payloads_is_a_sentence(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/decode", content=body)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


async def test_a_body_without_end_is_not_taken(client: httpx.AsyncClient) -> None:
    assert (await client.post("/decode", content=bytes(MAX_BODY + 1))).status_code == 413


async def asked_from(origin: str, **settings: object) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    async with a_client(**settings) as client:
        return await client.options("/decode", headers=headers)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8233", "http://localhost:8233"])
async def test_a_browser_may_ask_from_the_ui_of_this_machine(origin: str) -> None:
    answer = await asked_from(origin)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin


async def test_a_browser_may_ask_from_the_ui_of_the_setting_only() -> None:
    ui = "https://temporal.example"
    settings = {"temporal_ui_url": f"{ui}/some/where"}
    assert (await asked_from(ui, **settings)).headers["Access-Control-Allow-Origin"] == ui
    for origin in ("http://localhost:8233", "https://evil.example"):
        answer = await asked_from(origin, **settings)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "berth.example"])
def test_where_others_reach_it_it_does_not_start_without_a_token(host: str) -> None:
    with pytest.raises(StartError, match=r"^BERTH_CODEC_TOKEN: is required"):
        codec_app(Settings.model_validate({"payload_key": KEY, "codec_host": host}))


def test_without_a_key_it_does_not_start() -> None:
    run = berth("codec-server", BERTH_CODEC_PORT="0")
    assert run.returncode == 2
    assert run.stderr == (
        "berth: BERTH_PAYLOAD_KEY: the codec server needs it; `berth payload-key` makes one\n"
    )


@pytest.mark.parametrize("command", ["api", "worker", "gateway", "codec-server", "doctor", "up"])
def test_no_process_starts_with_a_malformed_key(command: str) -> None:
    run = berth(command, BERTH_PAYLOAD_KEY="c2VjcmV0")
    assert run.returncode == 2
    assert run.stderr == (
        "berth: BERTH_PAYLOAD_KEY: key 1 must be like id:base64, with commas between several; "
        "`berth payload-key` makes one\n"
    )


def test_the_command_prints_a_fresh_key_for_the_setting() -> None:
    run = berth_here("payload-key")
    assert run.returncode == 0
    assert len(parse_keys(run.stdout.strip())) == 1


async def test_the_process_serves_until_it_is_told_to_stop_and_logs_no_payload(free_port: int) -> None:
    environment = {"BERTH_PAYLOAD_KEY": KEY, "BERTH_CODEC_PORT": str(free_port), "BERTH_LOG_LEVEL": "debug"}
    url = f"http://127.0.0.1:{free_port}"
    body = await encrypted()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "cli", "codec-server"],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            until("it listens", lambda: _answers(url), 30)
            assert httpx.post(f"{url}/decode", content=body, trust_env=False).status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert "codec_server_stopped" in log
    assert json.loads(body)["payloads"][0]["data"] not in log
    assert CARD not in log


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 404
    except httpx.TransportError:
        return False
