"""The sentences for settings that cannot be."""

import pytest
from pydantic import BaseModel, ValidationError

from berth.errors import StartError
from berth.settings import Settings
from cli.problem import sentence_for


def sentence_with(monkeypatch: pytest.MonkeyPatch, **settings: str) -> str | None:
    for name, value in settings.items():
        monkeypatch.setenv(f"BERTH_{name}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    return sentence_for(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("API_PORT", "70000", "must be less than or equal to 65535, got '70000'"),
        ("SETTLE", "soon", "must be a number, got 'soon'"),
        ("OPEN_CHARGERS", "perhaps", "must be true or false, got 'perhaps'"),
        ("UNKNOWN_CHARGERS", "maybe", "must be 'refuse' or 'register', got 'maybe'"),
    ],
)
def test_a_bad_value_is_named_with_its_rule(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
) -> None:
    assert sentence_with(monkeypatch, **{name: value}) == f"BERTH_{name}: {rule}"


def test_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = sentence_with(monkeypatch, BOOTSTRAP_API_KEY="s3cret")
    assert sentence == "BERTH_BOOTSTRAP_API_KEY: must have at least 32 characters"


def test_what_is_missing_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = sentence_with(monkeypatch, API_TLS_CERT="chain.pem")
    assert sentence == "BERTH_API_TLS_KEY: BERTH_API_TLS_CERT and BERTH_API_TLS_KEY need each other"


def test_several_bad_values_are_named_one_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = sentence_with(monkeypatch, API_PORT="x", GATEWAY_PORT="y")
    assert sentence is not None
    assert [line.split(":")[0] for line in sentence.splitlines()] == ["BERTH_API_PORT", "BERTH_GATEWAY_PORT"]


def test_a_start_error_speaks_for_itself() -> None:
    assert sentence_for(StartError("turn it on")) == "turn it on"


def test_a_defect_keeps_its_traceback() -> None:
    class Message(BaseModel):
        number: int

    with pytest.raises(ValidationError) as caught:
        Message.model_validate({"number": "x"})
    assert sentence_for(caught.value) is None
    assert sentence_for(ZeroDivisionError()) is None
