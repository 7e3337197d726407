"""How a charger answers a CALL: properly, or in the way somebody ordered."""

import asyncio
from typing import TYPE_CHECKING

from ocpp.messages import Call  # type: ignore[import-untyped]  # ships no types

from simulator.commands import Reply
from simulator.misbehaviour import DOES_NOTHING, Misbehaviour, Wrong
from simulator.personality import STATUSES
from simulator.schemas import Violation, check_request
from simulator.wire import Peer, error_text, result_text

if TYPE_CHECKING:
    from simulator.charger import SimulatedCharger


async def answer_call(charger: "SimulatedCharger", peer: Peer, call: Call) -> None:
    """Do what a CALL asks, answer it, and do what follows from it."""
    wrong = charger.misbehaviours.take(call.action)
    if wrong is not None and wrong.kind in DOES_NOTHING:
        await _refuse(charger, peer, call, wrong)
        return
    reply = await _reply(charger, call)
    if reply is None:
        await charger.drop()
        return
    await _answer(charger, peer, call, reply, wrong)
    if reply.then is not None:
        reply.then()


async def _reply(charger: "SimulatedCharger", call: Call) -> Reply | None:
    handler = charger.handlers.get(call.action)
    if handler is None:
        return Reply.error("NotImplemented")
    violation = check_request(charger.version, call.action, call.payload)
    if violation is not None:
        return _objection(charger, call.action, violation)
    return await handler(charger, call.payload)


def _objection(charger: "SimulatedCharger", action: str, violation: Violation) -> Reply:
    p = charger.personality
    token_missing = violation.fields & {"idTag", "idToken"}
    if action == "ReserveNow" and token_missing and p.missing_token is not None:
        if p.missing_token in STATUSES:
            return Reply({"status": p.missing_token})
        return Reply.error(p.missing_token, p.error_text, p.error_details)
    return Reply.error(violation.code, violation.text)


async def _refuse(charger: "SimulatedCharger", peer: Peer, call: Call, wrong: Misbehaviour) -> None:
    if wrong.kind is Wrong.DROP_BEFORE:
        await charger.drop()
    elif wrong.kind is Wrong.CALL_ERROR:
        await peer.send_text(error_text(call.unique_id, wrong.code, wrong.text))
    elif wrong.kind is Wrong.STATUS:
        await peer.send_text(result_text(call.unique_id, {"status": wrong.status}))


async def _answer(
    charger: "SimulatedCharger", peer: Peer, call: Call, reply: Reply, wrong: Misbehaviour | None
) -> None:
    text = reply.text(call.unique_id)
    if wrong is None:
        await peer.send_text(text)
        return
    if wrong.kind is Wrong.DROP_UNANSWERED:
        await charger.drop()
        return
    if wrong.kind is Wrong.NO_ANSWER:
        return
    if wrong.kind is Wrong.GARBAGE:
        text = wrong.text or f'[3,"{call.unique_id}",{{"status":"Perhaps"}}'
    await asyncio.sleep(wrong.seconds)
    await peer.send_text(text)
    if wrong.kind is Wrong.TWICE:
        await peer.send_text(text)
    if wrong.kind is Wrong.DROP_AFTER:
        await charger.hang_up()
