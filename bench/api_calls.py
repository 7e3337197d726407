"""What do the API's reads cost when much is stored, the check of a key, and a call that is rejected?"""

from bench.growth import growth
from bench.key_check import key_check
from bench.rejections import rejections
from bench.sides import start_sides
from bench.stack import Stack
from bench.table import Figure

FEW, MANY = 1000, 100_000  # stored reservations


async def measure() -> list[Figure]:
    """Reads beside the same reads of fewer, the check's share of a read, rejections beside answers."""
    with Stack() as stack:
        few, many = await start_sides(stack, (FEW, MANY))
        return [*await growth(few, many), *await key_check(stack, few), *await rejections(stack, few)]
