"""Chargers as a CSV file: a line for each port, the charger's own columns on its first line.

Spreadsheets vary: comma, semicolon or tab, with or without a byte order mark; where it is not the comma that
parts the cells, numbers may have a decimal comma. The rules of the values are the API's own.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from api.schemas.chargers import NewChargerBody

Json = dict[str, Any]

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def _text(cell: str) -> str:
    return cell


def _whole(cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise ValueError("must be a whole number")
    return int(cell)


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in cell:
        raise ValueError("must be a number")
    return number


IDENTITY, PASSWORD, PORT_NUMBER = "ocppId", "password", "portNumber"

_OF_CHARGER: Mapping[str, Callable[[str], Any]] = {
    IDENTITY: _text,
    "name": _text,
    "siteId": _text,
    "externalId": _text,
    "latitude": _number,
    "longitude": _number,
    "type": _text,
    PASSWORD: _text,
}
_OF_PORT: Mapping[str, Callable[[str], Any]] = {
    PORT_NUMBER: _whole,
    "portName": _text,
    "connectorType": _text,
    "maximumPowerKw": _number,
}
_READERS = {**_OF_CHARGER, **_OF_PORT}
COLUMNS = tuple(_READERS)
"""The columns, as the API names their values; only the first is required. Case and spaces do not matter."""

_FIELD = {"portName": "name"}
"""Column of a port → its field, where they differ."""

_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file: where, and the rule that is broken."""

    line: int
    column: str | None
    rule: str

    def __str__(self) -> str:
        return (
            f"line {self.line}: {self.column}: {self.rule}"
            if self.column
            else f"line {self.line}: {self.rule}"
        )


class BadFile(Exception):
    """The file cannot be taken; `problems` say why, in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass
class FileCharger:
    """A charger in the file: its line, the API's body to add it, and the lines of its ports."""

    line: int
    body: Json = field(repr=False)
    port_lines: list[int] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its identity, as identities are compared."""
        return identity_key(self.body.get(IDENTITY, ""))


@dataclass(frozen=True)
class _Row:
    line: int
    cells: Mapping[str, str]


def identity_key(ocpp_identity: str) -> str:
    """What two spellings of one identity have in common: it is compared without case."""
    return ocpp_identity.casefold()


def read_chargers(content: bytes) -> list[FileCharger]:
    """The chargers of a file, by their first lines. Raises BadFile with everything that is wrong with it."""
    problems: list[Problem] = []
    chargers: dict[str, FileCharger] = {}
    for row in _rows(_decoded(content), problems):
        identity = row.cells.get(IDENTITY, "")
        if not identity:
            problems.append(Problem(row.line, IDENTITY, "is required"))
            continue
        known = chargers.get(identity_key(identity))
        if known is None:
            known = FileCharger(row.line, {**_values(_OF_CHARGER, row, problems), "ports": []})
            chargers[known.key] = known
            has_port = any(row.cells.get(column) for column in _OF_PORT)
        else:
            _check_repeated(known, row, problems)
            has_port = True
        if has_port:
            _add_port(known, row, problems)
    found = list(chargers.values())
    bad_lines = {problem.line for problem in problems}
    for charger in found:
        if bad_lines.isdisjoint({charger.line, *charger.port_lines}):
            problems += _broken_rules(charger)
    problems += _repeated_external_ids(found)
    if problems:
        raise BadFile(problems)
    if not found:
        raise BadFile([Problem(1, None, "there are no chargers in this file")])
    return found


def written(chargers: Iterable[Json]) -> str:
    """The API's chargers as a file that can be read again. Passwords are known to nobody, and left out."""
    out = io.StringIO()
    columns = [column for column in COLUMNS if column != PASSWORD]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for charger in chargers:
        row = {column: charger.get(column) for column in columns if column in _OF_CHARGER}
        if charger.get("name") == charger[IDENTITY]:
            row["name"] = None  # it has none: the API shows its identity instead
        for port in charger["ports"] or [{}]:
            writer.writerow(row | _port_cells(port))
            row = {IDENTITY: charger[IDENTITY]}
    return out.getvalue()


def _port_cells(port: Json) -> Json:
    cells = {column: port.get(_FIELD.get(column, column)) for column in _OF_PORT}
    if cells["portName"] == f"Port {port.get(PORT_NUMBER)}":
        cells["portName"] = None  # it has none: the API shows its number instead
    return cells


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile([Problem(line, None, "is not UTF-8: save the file as “CSV UTF-8”")]) from error
    if "\0" in text:
        raise BadFile([Problem(1, None, "is no CSV file: save the sheet as “CSV UTF-8”")])
    return text


def _rows(text: str, problems: list[Problem]) -> Iterator[_Row]:
    lines = io.StringIO(text, newline="")
    skipped = 0
    if re.match(r"sep=.\r?\n", text, re.IGNORECASE):  # Excel's own first line
        lines.readline()
        skipped = 1
    position = lines.tell()
    delimiter = max(_DELIMITERS, key=lines.readline().count)
    lines.seek(position)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    line = 1 + skipped
    try:
        for cells in reader:
            if columns is None:
                if any(map(str.strip, cells)):
                    columns = _columns(cells, line)
            elif any(map(str.strip, cells)):
                extra = [cell for cell in cells[len(columns) :] if cell.strip()]
                if extra:
                    rule = f"has {len(cells)} cells, the first line has {len(columns)}"
                    problems.append(Problem(line, None, rule))
                else:
                    yield _Row(line, _stripped(columns, cells, delimiter))
            line = reader.line_num + skipped + 1
    except csv.Error as error:
        problems.append(Problem(line, None, f"is no CSV ({error})"))
    if columns is None and not problems:
        raise BadFile([Problem(line, None, f"the first line must name the columns: {', '.join(COLUMNS)}")])


def _columns(cells: list[str], line: int) -> list[str]:
    """The column of each cell of the first line."""
    known = {column.lower(): column for column in COLUMNS}
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:
        names.pop()
    columns = [known.get(re.sub(r"[\W_]", "", name).lower(), "") for name in names]
    problems = [
        Problem(line, name or None, f"is no column; there are {', '.join(COLUMNS)}")
        for name, column in zip(names, columns, strict=True)
        if not column
    ]
    counts = Counter(column for column in columns if column)
    problems += [Problem(line, name, "is there twice") for name, count in counts.items() if count > 1]
    if IDENTITY not in columns and not problems:
        problems = [Problem(line, IDENTITY, "is required as a column")]
    if problems:
        raise BadFile(problems)
    return columns


def _stripped(columns: list[str], cells: list[str], delimiter: str) -> dict[str, str]:
    values = {}
    for column, cell in zip(columns, cells, strict=False):
        value = cell if column == PASSWORD else cell.strip()
        if delimiter != "," and _READERS[column] is _number:
            value = value.replace(",", ".")
        values[column] = value
    return values


def _values(columns: Mapping[str, Callable[[str], Any]], row: _Row, problems: list[Problem]) -> Json:
    values = {}
    for column, read in columns.items():
        cell = row.cells.get(column)
        if not cell:
            continue
        try:
            values[_FIELD.get(column, column)] = read(cell)
        except ValueError as error:
            problems.append(Problem(row.line, column, f"{error}, not {cell!r}"))
    return values


def _add_port(charger: FileCharger, row: _Row, problems: list[Problem]) -> None:
    port = _values(_OF_PORT, row, problems)
    if not row.cells.get(PORT_NUMBER):
        rule = "is required for a port" if port else f"is required: this charger is in line {charger.line}"
        problems.append(Problem(row.line, PORT_NUMBER, rule))
        return
    number = port.get(PORT_NUMBER)
    for line, other in zip(charger.port_lines, charger.body["ports"], strict=True):
        if number is not None and other.get(PORT_NUMBER) == number:
            problems.append(Problem(row.line, PORT_NUMBER, f"{number} is in line {line} already"))
    charger.body["ports"].append(port)
    charger.port_lines.append(row.line)


def _check_repeated(charger: FileCharger, row: _Row, problems: list[Problem]) -> None:
    """Further lines of a charger repeat its values or leave them out."""
    for column, value in _values(_OF_CHARGER, row, problems).items():
        if value != charger.body.get(column):
            rule = f"is another one in line {charger.line}, where this charger begins"
            problems.append(Problem(row.line, column, rule))


def _broken_rules(charger: FileCharger) -> Iterator[Problem]:
    try:
        NewChargerBody.model_validate(charger.body)
    except ValidationError as error:
        for broken in error.errors(include_input=False, include_url=False):
            yield _problem(charger, broken["loc"], broken["msg"])


def _problem(charger: FileCharger, location: tuple[int | str, ...], message: str) -> Problem:
    message = message.removeprefix("Value error, ").replace("Input should ", "must ", 1)
    rule = re.sub(r"^[A-Z]\w+ should ", "must ", message)
    if location[0] != "ports" or len(location) == 1:
        return Problem(charger.line, str(location[0]), rule)
    _, index, name = location[:3]
    return Problem(charger.port_lines[int(index)], "portName" if name == "name" else str(name), rule)


def _repeated_external_ids(chargers: Iterable[FileCharger]) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for charger in chargers:
        external_id = charger.body.get("externalId")
        if external_id is None:
            continue
        if external_id in lines:
            yield Problem(charger.line, "externalId", f"is in line {lines[external_id]} already")
        lines.setdefault(external_id, charger.line)
