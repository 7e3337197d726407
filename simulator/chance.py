"""Randomness from one seed, without state worth mentioning: thousands of chargers have one each."""

import uuid
from hashlib import blake2b


class Chance:
    """The n-th draw is the same for the same seed."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._drawn = 0

    def restart(self) -> None:
        """Draw the same again from the beginning."""
        self._drawn = 0

    def bits(self) -> int:
        """128 random bits."""
        self._drawn += 1
        digest = blake2b(f"{self._seed}/{self._drawn}".encode(), digest_size=16).digest()
        return int.from_bytes(digest, "big")

    def uuid(self) -> str:
        """A random UUID."""
        return str(uuid.UUID(int=self.bits(), version=4))

    def between(self, low: float, high: float) -> float:
        """A random number between two others."""
        return low + (high - low) * (self.bits() / 2**128)
