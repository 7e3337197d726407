"""Whatever answers at BERTH_URL: one line, a telling exit code, never a traceback."""

import pytest

from tests.cli.odd_server import Answer, OddServer
from tests.launch.commands import berth, berth_here


@pytest.mark.parametrize(
    ("answer", "code", "sentence"),
    [
        (Answer(400, {"error": "limit: must be less"}), 1, "limit: must be less"),
        (Answer(401, {"error": "this API key is unknown"}), 2, "this API key is unknown"),
        (Answer(403, {"error": "this API key lacks the right read"}), 1, "this API key lacks the right read"),
        (Answer(500, {"error": "something went wrong"}), 3, "something went wrong"),
        (Answer(429, {"error": "too many requests"}, {"Retry-After": "3600"}), 3, "too many requests"),
        (Answer(502, b"<html>Bad Gateway</html>"), 3, "{url}/api/tokens?limit=500 answers 502 Bad Gateway"),
        (Answer(404, b"[1]"), 1, "{url}/api/tokens?limit=500 answers 404 Not Found"),
        (Answer(302, b"", {"Location": "/login"}), 3, "BERTH_URL: {url} leads elsewhere, to /login"),
        (Answer(200, b"<html>Welcome</html>"), 3, "BERTH_URL: {url} does not speak like Berth's API"),
        (Answer(200, b""), 3, "BERTH_URL: {url} does not speak like Berth's API"),
        (Answer(200, [1, 2]), 3, "BERTH_URL: {url} does not speak like Berth's API"),
        (Answer(200, {"data": 5}), 3, "BERTH_URL: {url} does not speak like Berth's API"),
    ],
)
def test_it_is_one_line(odd: OddServer, answer: Answer, code: int, sentence: str) -> None:
    odd.answers = [answer]
    run = berth_here("token", "list")
    assert (run.returncode, run.stderr) == (code, f"berth: {sentence.format(url=odd.url)}\n")


def test_one_result_that_is_none_is_one_line_too(odd: OddServer) -> None:
    odd.answers = [Answer(200, {"data": [1]})]
    run = berth_here("show", "1", "7")
    assert (run.returncode, run.stderr) == (
        3,
        f"berth: BERTH_URL: {odd.url} does not speak like Berth's API\n",
    )


def test_a_rate_limit_is_waited_for_and_said(odd: OddServer, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr("cli.client.sleep", waited.append)
    nothing = {"data": [], "pagination": {"hasNextPage": False, "nextPageCursor": None}}
    odd.answers = [
        Answer(429, {"error": "too many requests"}, {"Retry-After": "12"}),
        Answer(429, {"error": "too many requests"}, {"Retry-After": "0"}),
        Answer(200, nothing),
    ]
    run = berth_here("token", "list", "--json")
    assert (run.returncode, run.stdout) == (0, "[]\n")
    assert waited == [12, 1]
    assert run.stderr.splitlines()[0] == "berth: too many requests; waiting 12 s"


def test_what_a_terminal_would_obey_is_not_shown(odd: OddServer) -> None:
    token = {"idTag": "\x1b[2JCARD\x9b1", "parentIdTag": ":car:", "status": "[red]Accepted"}
    page = {"data": [token], "pagination": {"hasNextPage": False, "nextPageCursor": None}}
    odd.answers = [Answer(200, page)]
    table = berth_here("token", "list").stdout
    assert "\x1b[2J" not in table
    assert "\x9b" not in table
    assert ":car:" in table
    assert "[red]Accepted" in table
    assert ":car:" in berth_here("token", "list", "--json").stdout


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BERTH_URL", "berth.example", "BERTH_URL: must be like https://berth.example"),
        ("BERTH_URL", "ftp://berth.example", "BERTH_URL: must be like https://berth.example"),
        ("BERTH_URL", "http://berth.example:99999", "BERTH_URL: there is no port 99999"),
        ("BERTH_URL", "http://[::1", "BERTH_URL: http://[::1 is no URL"),
        ("BERTH_API_KEY", "schlüssel", "BERTH_API_KEY: has characters that no key has"),
    ],
)
def test_a_variable_that_cannot_be_is_named(name: str, value: str, sentence: str) -> None:
    environment = {"BERTH_URL": "http://127.0.0.1:1", "BERTH_API_KEY": "key", name: value}
    run = berth("list", **environment)
    assert run.returncode == 2
    assert run.stderr.startswith(f"berth: {sentence}")
    assert run.stderr.count("\n") == 1


def test_the_key_of_this_machine_is_not_sent_to_another() -> None:
    run = berth("list", BERTH_URL="https://berth.example")
    assert run.returncode == 2
    assert run.stderr.startswith("berth: BERTH_API_KEY: not set; https://berth.example needs one")
