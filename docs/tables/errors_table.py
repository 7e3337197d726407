"""The lists in docs/reference/errors.md: `python -m docs.tables.errors_table` writes them from the API.

Every sentence stands where it is raised, in `api/`; this reads them there. `{…}` is what differs each time.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from api import errors
from api.documentation import ERRORS
from docs.tables import written_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "errors.md"

CLASSES = {
    name: int(found.status)
    for name, found in vars(errors).items()
    if isinstance(found, type) and issubclass(found, errors.ApiError) and found is not errors.ApiError
}
UNAVAILABLE = ("bounded", "mapped")
"""Functions of api/temporal/temporal_errors.py whose texts become an Unavailable."""

PASSING_ON = ("errors.py", "temporal_errors.py")
"""Files that hand on what others say; the page tells their own sentences in words."""


class _Module:
    """One file of `api/`, and what the names in it stand for."""

    def __init__(self, file: Path) -> None:
        self.name = str(file.relative_to(ROOT))
        self._tree = ast.parse(file.read_text("utf-8"))
        self._around = {
            child: parent for parent in ast.walk(self._tree) for child in ast.iter_child_nodes(parent)
        }

    def sentences(self) -> Iterator[tuple[int, str]]:
        """(status, sentence) of every error that is raised here."""
        for call in self._calls():
            name, arguments = _called(call), call.args
            if name in CLASSES:
                status, arguments = CLASSES[name], arguments[:1]
            elif name in UNAVAILABLE:
                status, arguments = CLASSES["Unavailable"], [each for each in arguments if _may_be_text(each)]
            elif name == "error_response":
                status, arguments = CLASSES["Failed"], arguments[1:2]
            else:
                continue
            for argument in arguments:
                yield from ((status, sentence) for sentence in self._texts(argument))

    def _calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self._tree) if isinstance(node, ast.Call))

    def _texts(self, node: ast.expr) -> Iterator[str]:
        """The texts an expression may have. Raises ValueError for one that cannot be told."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(_part(part) for part in parts)
            case ast.Call():
                yield from self._returned_by(_called(node))
            case ast.Name(id=name):
                yield from self._named(name, node)
            case _:
                raise ValueError(f"{self.name}:{node.lineno}: which sentence is this?")

    def _returned_by(self, function: str) -> Iterator[str]:
        for node in ast.walk(self._function(function)):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._texts(node.value)

    def _named(self, name: str, node: ast.AST) -> Iterator[str]:
        function = self._around_function(node)
        here: ast.AST = function or self._tree
        assigned = [
            each.value
            for scope in (here, self._tree)
            for each in ast.walk(scope)
            if isinstance(each, ast.Assign)
            and any(isinstance(to, ast.Name) and to.id == name for to in each.targets)
        ]
        if assigned:
            for value in assigned:
                yield from self._texts(value)
        elif function is not None:
            yield from self._handed(function, name)

    def _handed(self, function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: str) -> Iterator[str]:
        """What callers in this file hand over as that parameter."""
        parameters = [each.arg for each in function.args.args]
        at = parameters.index(parameter) - (parameters[0] == "self")
        for call in self._calls():
            if _called(call) == function.name:
                yield from self._texts(call.args[at])

    def _function(self, name: str) -> ast.AST:
        for node in ast.walk(self._tree):
            if isinstance(node, _FUNCTIONS) and node.name == name:
                return node
        raise ValueError(f"{self.name}: {name}() may say anything; which sentence is it?")

    def _around_function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        around = self._around.get(node)
        while around is not None and not isinstance(around, _FUNCTIONS):
            around = self._around.get(around)
        return around


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _may_be_text(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Name) and node.id.endswith(("WITHIN", "within")))


def _part(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=text):
            return str(text)
        case ast.FormattedValue(value=value):
            return f"{{{_placeholder(value)}}}"
    raise ValueError(f"{ast.dump(node)}: is no part of a sentence")


def _placeholder(node: ast.expr) -> str:
    """A word for what differs: the last name in the expression."""
    names = [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
    names += [each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)]
    return names[-1] if names else "…"


def found() -> dict[int, set[str]]:
    """Every sentence of the API, by its status."""
    by_status: dict[int, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "api").rglob("*.py")):
        if file.name in PASSING_ON:
            continue
        for status, sentence in _Module(file).sentences():
            by_status[status].add(sentence)
    return by_status


def errors_table() -> str:
    """Every status with its sentences, as Markdown."""
    lines = []
    for status, sentences in sorted(found().items()):
        lines += [f"### {status} {HTTPStatus(status).phrase}", "", ERRORS[status], ""]
        lines += [f"- `{sentence}`" for sentence in sorted(sentences)]
        lines.append("")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """The page with the table as it must be. Raises ValueError when its marks are missing."""
    return written_table.with_table(page, "errors", errors_table())


def main() -> None:
    """Write it."""
    written_table.write(PAGE, with_table)


if __name__ == "__main__":
    main()
