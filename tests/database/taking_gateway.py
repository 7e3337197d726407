"""Run as a process of its own: takes a charger's socket again and again, and writes each epoch it got."""

import asyncio
import sys

from berth.database import Database


async def main(url: str, incarnation: str, charger_id: int, times: int) -> None:
    """Take, mark ready and release `times` times."""
    async with await Database.open(url) as database:
        await database.links.start(incarnation, incarnation, f"queue-{incarnation}")
        for _ in range(times):
            epoch = (await database.links.take(charger_id, incarnation, "ocpp1.6")).epoch
            await database.links.mark_ready(charger_id, epoch)
            await database.links.release(charger_id, epoch)
            sys.stdout.write(f"{epoch}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
