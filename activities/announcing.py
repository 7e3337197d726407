"""Telling webhooks of what happened: a delivery for each that wants to know. Workers send them afterwards."""

from collections.abc import Callable, Sequence

from temporalio import activity

from directory import Announced, Directory
from workflows.announcement import AnnounceInput, Announcement


def nobody() -> None:
    """Wake nobody: deliveries are looked for every few seconds anyway."""


def announced(one: Announcement) -> Announced:
    """An event of a reservation as the directory takes it."""
    return Announced(one.event_id, one.type, one.charger_id, one.site_id, one.body())


class Announcer:
    """The activity Announce. Safe to repeat: an event's id is entered once for each webhook.

    `wake` is called when there are new deliveries.
    """

    def __init__(self, directory: Directory, wake: Callable[[], None] = nobody) -> None:
        self._directory = directory
        self._wake = wake

    @activity.defn(name="Announce")
    async def announce(self, request: AnnounceInput) -> None:
        """Enter what a reservation's workflow tells of."""
        await self.tell_of_reservation(request.announcements)

    async def tell_of_reservation(self, announcements: Sequence[Announcement]) -> None:
        """The same, for another activity."""
        await self.tell([announced(one) for one in announcements])

    async def tell(self, events: Sequence[Announced]) -> None:
        """Enter these events; without any webhook it is one small look into the directory."""
        if (
            events
            and await self._directory.webhooks.any()
            and await self._directory.deliveries.announce(events)
        ):
            self._wake()
