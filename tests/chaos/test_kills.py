"""Any process may be killed at any moment: what was answered stays true, and is true at the charger."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.stack import Stack
from tests.chaos.callers import Callers
from tests.chaos.verdict import Judge
from tests.chaos.watched import WatchedCharger

VICTIMS = ("gateway", "worker", "api", "temporal")
CHARGERS = 20
CALL_TIMEOUT = 3
ALIVE_AGAIN_WITHIN = 180.0  # seconds; a busy machine takes a minute to start two processes
SETTLED_WITHIN = 240.0  # three answers lost in a row are asked for again after 2 minutes


@pytest.mark.timeout(1500)
async def test_nothing_is_lost_or_doubled_when_processes_are_killed_at_random(
    tmp_path: Path, temporal_cli: Path, say: Callable[[str], None], full_size: bool
) -> None:
    rounds = int(os.environ.get("CHAOS_ROUNDS") or (20 if full_size else 4))
    seed = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
    say(f"kill test: seed {seed}, {rounds} rounds")
    async with Stack(
        tmp_path, temporal_cli, BERTH_RATE_LIMIT="0", BERTH_OCPP_CALL_TIMEOUT=str(CALL_TIMEOUT)
    ) as stack:
        chargers = [_charger(stack, number, seed) for number in range(CHARGERS)]
        try:
            for charger in chargers:
                charger.start()
            await asyncio.gather(*(asyncio.wait_for(one.booted.wait(), 60) for one in chargers))
            callers = Callers(stack, chargers, seed, wait=CALL_TIMEOUT + 2)
            await callers.learn()
            calling = asyncio.create_task(callers.run())
            weather = asyncio.create_task(_bad_weather(chargers, seed))
            story = await _kill(stack, callers, rounds, seed)
            callers.stop()
            weather.cancel()
            await asyncio.gather(weather, return_exceptions=True)
            for charger in chargers:
                for port_number in charger.ports:
                    await charger.recover(port_number)
            await calling
            began = time.monotonic()
            verdict = await Judge(stack, callers.pages).settled(SETTLED_WITHIN)
            settled_after = time.monotonic() - began
        finally:
            await asyncio.gather(*(charger.stop() for charger in chargers))
    doubled = [what for charger in chargers for what in charger.doubled]
    say(
        f"rounds {rounds}, posts {callers.asked.total()} ({callers.asked['cancel']} cancels), "
        f"answered {callers.answered.total()}, numbers {len(callers.pages)}, "
        f"settled after {settled_after:.0f} s, lost {len(verdict.lost)}, doubled {len(doubled)}, "
        f"disagreeing {len(verdict.disagreeing)}"
    )
    wrong = [*verdict.lost, *doubled, *verdict.disagreeing, *callers.unexpected]
    assert not wrong, "\n".join([f"seed {seed}", *story, *wrong])


def _charger(stack: Stack, number: int, seed: str) -> WatchedCharger:
    return WatchedCharger(
        f"CHAOS-{number}",
        stack.gateway_url,
        chance=random.Random(f"{seed}/{number}"),
        thinks=0.2,
        version="1.6" if number % 2 else "2.0.1",
        reconnect_seconds=(0.2, 0.4, 0.8),
        restart_seconds=0.3,
        keep_frames=0,
    )


async def _kill(stack: Stack, callers: Callers, rounds: int, seed: str) -> list[str]:
    """Kill and start again, each of the four as often as the others; what was done, in words."""
    chance = random.Random(f"{seed}/kills")
    story: list[str] = []
    victims: list[str] = []
    for _ in range(rounds):
        if not victims:
            victims = chance.sample(VICTIMS, len(VICTIMS))
        first = victims.pop()
        # Now and then two at once.
        doomed = {first, chance.choice(VICTIMS)} if chance.random() < 0.25 else {first}
        await asyncio.sleep(chance.uniform(0.2, 2.0))
        down = chance.uniform(0.0, 1.5)
        for name in doomed:
            stack.kill(name)
        story.append(
            f"{time.strftime('%H:%M:%S', time.gmtime())} killed {' and '.join(doomed)}, {down:.1f} s"
        )
        await asyncio.sleep(down)
        for name in doomed:
            await (stack.start_temporal() if name == "temporal" else _started(stack, name))
        before = callers.answered["reserve"]

        async def answers_again(before: int = before) -> bool:
            return callers.answered["reserve"] > before + 3

        await stack.until(answers_again, f"answers after the death of {doomed}", ALIVE_AGAIN_WITHIN)
    return story


async def _started(stack: Stack, name: str) -> None:
    stack.start(name)


async def _bad_weather(chargers: list[WatchedCharger], seed: str) -> None:
    """Sockets drop, chargers restart and ports fail meanwhile."""
    chance = random.Random(f"{seed}/weather")
    while True:
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        charger = chance.choice(chargers)
        match chance.choices(["drop", "reboot", "fault"], [5, 2, 2])[0]:
            case "drop":
                await charger.drop()
            case "reboot":
                await charger.reboot()
            case "fault":
                port_number = chance.choice(list(charger.ports))
                await charger.fault(port_number)
                await asyncio.sleep(chance.uniform(0.1, 3.0))
                await charger.recover(port_number)
