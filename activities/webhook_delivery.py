"""Sending a batch of events to one webhook; this runs in the worker, on a task queue of its own."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from berth.database import Database, DeliveryTarget
from webhooks.delivery_metrics import WEBHOOK_ATTEMPTS
from webhooks.sender import Outcome, Sender
from webhooks.target import receiver_of
from workflows.webhook_delivery import DeliveryRound, DeliveryStart

log = structlog.get_logger(__name__)

REMOVED = "removed"
"""How a delivery ended whose webhook does not exist any more."""

REPLAYED = "replayed"
"""How a delivery ended, as far as its batch is concerned, that another batch has again."""

NOT_DELIVERED = "NotDelivered"
"""Application error type: the attempt left something to deliver, Temporal tries again."""

RECEIVER_BUSY = "ReceiverBusy"
"""Application error type: this receiver has as many attempts under way as one may have."""

PER_RECEIVER = 8
"""Batches under way at one receiver, in each worker; after a failure one, until it takes an event again."""

_GONE = 410
_LONGEST_PAUSE = 600.0  # seconds


class WebhookDeliverer:
    """The activities DeliverWebhook and GiveUpWebhook. Their results say how the deliveries ended."""

    def __init__(self, database: Database, sender: Sender, per_receiver: int = PER_RECEIVER) -> None:
        self._database = database
        self._sender = sender
        self._per_receiver = per_receiver
        self._under_way: Counter[str] = Counter()
        self._failing: set[str] = set()

    @activity.defn(name="DeliverWebhook")
    async def deliver(self, start: DeliveryStart) -> str:
        """Try each once, one after the other, until the receiver does not answer.

        A receiver that has it, answers 410, or is no longer to receive events, ends a delivery; what has
        ended is passed over. Safe to repeat: a receiver knows an event by its id.

        Raises ApplicationError of the types above for everything that the next attempt may mend.
        """
        ended: Counter[str] = Counter()
        error = ""
        receiver: str | None = None
        with ExitStack() as place:
            for one in await self._in_order(start.deliveries):
                if activity.is_worker_shutdown():
                    error = "this worker stops"
                    break
                activity.heartbeat()
                target = await self._open(one)
                if isinstance(target, str):
                    ended[target] += 1
                    continue
                if receiver is None:
                    receiver = receiver_of(target.url)
                    place.enter_context(self._place_at(receiver))
                outcome = await self._send(receiver, target)
                state = await self._conclude(one, target, outcome)
                if state != "pending":
                    ended[state] += 1
                    continue
                error = outcome.error or "no answer"
                if outcome.status is None:
                    break
        count = len(start.deliveries)
        if left := count - ended.total():
            raise ApplicationError(
                error if count == 1 else f"{left} of {count} not delivered: {error}",
                type=NOT_DELIVERED,
                category=ApplicationErrorCategory.BENIGN,
            )
        return _in_words(ended)

    @activity.defn(name="GiveUpWebhook")
    async def give_up(self, start: DeliveryStart) -> str:
        """No attempt succeeded in time: list what is left as given up."""
        return _in_words(Counter([await self._give_up(one, None) for one in start.deliveries]))

    async def _in_order(self, deliveries: Sequence[DeliveryRound]) -> Sequence[DeliveryRound]:
        """As they were entered; after a failure those first that were tried least.

        Else one event on which a receiver hangs would keep the others from it all day.
        """
        if activity.info().attempt == 1:
            return deliveries
        attempts = await self._database.deliveries.attempts([one.id for one in deliveries])
        return sorted(deliveries, key=lambda one: attempts.get(one.id, 0))

    async def _open(self, one: DeliveryRound) -> DeliveryTarget | str:
        """What there is to send, or how the delivery ended."""
        target = await self._database.deliveries.target(one.id)
        if target is None:
            return REMOVED
        if target.round != one.round:
            return REPLAYED
        if target.state == "pending" and not target.key_is_good:
            return await self._give_up(one, "its API key is revoked or has expired")
        return target if target.state == "pending" else target.state

    async def _send(self, receiver: str, target: DeliveryTarget) -> Outcome:
        outcome = await self._sender.send(
            target.url, target.secret, target.event_id, target.event_type, target.body_json.encode()
        )
        if outcome.is_delivered:
            self._failing.discard(receiver)
        else:
            self._failing.add(receiver)
        return outcome

    async def _conclude(self, one: DeliveryRound, target: DeliveryTarget, outcome: Outcome) -> str:
        """Enter what came of an attempt; the delivery's state then."""
        bound = log.bind(webhook_id=target.webhook_id, delivery_id=one.id, event_type=target.event_type)
        if outcome.is_delivered and outcome.status is not None:
            await self._database.deliveries.delivered(one.id, one.round, outcome.status)
            WEBHOOK_ATTEMPTS.labels("delivered").inc()
            bound.info("webhook_delivered", status=outcome.status)
            return "delivered"
        error = outcome.error or "no answer"
        await self._database.deliveries.failed(one.id, one.round, outcome.status, error)
        WEBHOOK_ATTEMPTS.labels("failed").inc()
        if outcome.status == _GONE:
            return await self._give_up(one, "HTTP 410: the receiver wants no more of it")
        bound.info("webhook_not_delivered", attempt=activity.info().attempt, error=error)
        return "pending"

    async def _give_up(self, one: DeliveryRound, error: str | None) -> str:
        """End a delivery that has not ended; how it ended then."""
        if await self._database.deliveries.give_up(one.id, one.round, error):
            WEBHOOK_ATTEMPTS.labels("given_up").inc()
            log.warning("webhook_given_up", delivery_id=one.id, error=error)
            return "given_up"
        target = await self._database.deliveries.target(one.id)
        if target is None:
            return REMOVED
        return target.state if target.round == one.round else REPLAYED

    @contextmanager
    def _place_at(self, receiver: str) -> Iterator[None]:
        """One of the places for a receiver; who finds none comes again and takes no place of another's."""
        if self._under_way[receiver] >= (1 if receiver in self._failing else self._per_receiver):
            pause = min(2.0 ** min(activity.info().attempt, 10), _LONGEST_PAUSE)
            raise ApplicationError(
                "other deliveries to this receiver are under way",
                type=RECEIVER_BUSY,
                next_retry_delay=timedelta(seconds=pause * random.uniform(0.5, 1.0)),  # noqa: S311 - jitter
                category=ApplicationErrorCategory.BENIGN,
            )
        self._under_way[receiver] += 1
        try:
            yield
        finally:
            self._under_way[receiver] -= 1
            if not self._under_way[receiver]:
                del self._under_way[receiver]


def _in_words(ended: Counter[str]) -> str:
    """How many ended how, for people."""
    return ", ".join(f"{count} {how.replace('_', ' ')}" for how, count in sorted(ended.items()))
