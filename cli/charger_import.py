"""Adding the chargers of a file over the API: all of them, or none."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cli.charger_csv import IDENTITY, BadFile, FileCharger, Problem, identity_key
from cli.client import CHARGERS, ApiClient, Json, NoAnswer, Refused


@dataclass(frozen=True)
class Plan:
    """What of a file is to be added, and what is there already."""

    new: Sequence[FileCharger]
    there: Sequence[FileCharger]


class Stopped(Exception):
    """The import ended in its midst; the text says why, and what is left of it."""


def plan(client: ApiClient, chargers: Sequence[FileCharger], skip_existing: bool) -> Plan:
    """Compare the file with what there is. Raises BadFile, Refused, NoAnswer."""
    there = client.found(CHARGERS).items
    identities = {identity_key(charger[IDENTITY]): charger["id"] for charger in there}
    external_ids = {charger["externalId"]: charger["id"] for charger in there if charger["externalId"]}
    known = [charger for charger in chargers if charger.key in identities]
    new = [charger for charger in chargers if charger.key not in identities]
    problems = [
        Problem(charger.line, "externalId", f"is that of charger {external_ids[external_id]}")
        for charger in new
        if (external_id := charger.body.get("externalId")) in external_ids
    ]
    if not skip_existing:
        problems += [
            Problem(charger.line, IDENTITY, f"is there already, as charger {identities[charger.key]}")
            for charger in known
        ]
    if problems:
        raise BadFile(problems)
    return Plan(new, known)


def carry_out(client: ApiClient, plan: Plan, advance: Callable[[], None]) -> list[Json]:
    """Add the new chargers; the API's answers. When one fails, those that were added are removed again.

    Raises BadFile when the API refuses one, Stopped when it goes away. Ctrl-C undoes all, too.
    """
    added: list[Json] = []
    for charger in plan.new:
        try:
            added.append(client.add_charger(charger.body))
        except Refused as error:
            is_fault = error.status >= 500  # and who knows what it has done before
            left = _take_back(client, added, charger if is_fault else None)
            problem = Problem(charger.line, None, str(error))
            if left or is_fault:
                raise Stopped(f"{problem}; {_left(left)}") from error
            raise BadFile([problem]) from error
        except NoAnswer as error:
            left = _take_back(client, added, charger)
            raise Stopped(f"line {charger.line}: {error}; {_left(left)}") from error
        except KeyboardInterrupt as error:
            left = _take_back(client, added, charger)
            raise Stopped(f"interrupted at line {charger.line}; {_left(left)}") from error
        advance()
    return added


def _take_back(client: ApiClient, added: Iterable[Json], in_doubt: FileCharger | None) -> list[str]:
    """Remove what was added; the identities of those that could not be."""
    left = []
    for charger in added:
        try:
            client.remove_charger(charger["id"])
        except (NoAnswer, Refused):
            left.append(str(charger[IDENTITY]))
    if in_doubt is not None and not _is_undone(client, in_doubt):
        left.append(str(in_doubt.body[IDENTITY]))
    return left


def _is_undone(client: ApiClient, in_doubt: FileCharger) -> bool:
    """Remove a charger whose answer was lost, if it is there; it was not before."""
    try:
        client.remove_charger(client.charger_by_identity(in_doubt.body[IDENTITY])["id"])
    except Refused as error:
        return error.status == 404
    except NoAnswer:
        return False
    return True


def _left(identities: Sequence[str]) -> str:
    if not identities:
        return "nothing was imported"
    return f"these may have been added and could not be removed again: {', '.join(identities)}"
