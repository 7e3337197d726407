"""How the commands report that something is not as it should be: one sentence."""

from pydantic import ValidationError

from berth.errors import StartError

EXIT_CODE = 2
"""Of a command that ends with one sentence instead of its work; the same as for a wrong command line."""


_RULES = {
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
}
"""pydantic's error type → our words, where its own say more about parsing than about the setting."""


def sentence_for(error: BaseException) -> str | None:
    """The sentence for this error; None when it is a defect, which deserves its traceback."""
    if isinstance(error, StartError):
        return str(error)
    if isinstance(error, ValidationError):
        return _bad_settings(error) if error.title == "Settings" else None
    if isinstance(error, PermissionError) and error.filename:
        return f"BERTH_VAR: Berth may not use {error.filename} ({error.strerror})"
    return _about_a_server(error)


def _about_a_server(error: BaseException) -> str | None:
    # Imported late: this is the only time that every command needs them.
    from sqlalchemy.exc import ArgumentError

    from berth.database import SchemaError, UnreachableError
    from berth.temporal.client import TemporalUnreachable

    if isinstance(error, TemporalUnreachable):
        return str(error)
    if isinstance(error, SchemaError):
        cure = " (`berth migrate` does)" if str(error).endswith("migrate it first") else ""
        return f"BERTH_DATABASE_URL: {error}{cure}"
    if isinstance(error, UnreachableError):
        return f"BERTH_DATABASE_URL: {' '.join(str(error).split())}"
    if isinstance(error, ArgumentError):
        return "BERTH_DATABASE_URL: must be like sqlite:///path or postgresql+asyncpg://user@host/name"
    return None


def _bad_settings(error: ValidationError) -> str:
    from berth.settings import Settings

    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        rule = _RULES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        rule = rule.replace("Input should be", "must be")
        secret = "Secret" in str(Settings.model_fields[name].annotation)
        got = "" if secret or problem["input"] is None else f", got {problem['input']!r}"
        lines.append(f"BERTH_{name.upper()}: {rule}{got}")
    return "\n".join(lines)
