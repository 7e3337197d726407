"""Where each charger has shown its right password from: there strangers do not lock it out."""

from collections import OrderedDict

_CHARGERS = 50_000
_OF_EACH = 4


class TrustedNetworks:
    """The networks of each charger; the oldest are forgotten first without room.

    Each charger has room of its own: one gone bad, with many addresses, pushes out no other's.
    """

    def __init__(self, chargers: int = _CHARGERS, of_each: int = _OF_EACH) -> None:
        """Remember at most `of_each` networks of at most `chargers` chargers."""
        self._chargers = chargers
        self._of_each = of_each
        self._networks: OrderedDict[int, tuple[str, ...]] = OrderedDict()  # the newest last

    def has(self, charger_id: int, network: str) -> bool:
        """Whether the charger was there."""
        return network in self._networks.get(charger_id, ())

    def enter(self, charger_id: int, network: str) -> None:
        """The charger is there."""
        others = tuple(known for known in self._networks.pop(charger_id, ()) if known != network)
        self._networks[charger_id] = (*others, network)[-self._of_each :]
        if len(self._networks) > self._chargers:
            self._networks.popitem(last=False)
