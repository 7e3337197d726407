"""An activity that may take long, in the background of a workflow that goes on meanwhile."""

from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

_T = TypeVar("_T")


class Background:
    """One activity at a time, known by its argument: who asks for the same again finds it under way."""

    def __init__(self) -> None:
        self._argument: BaseModel | None = None
        self._handle: workflow.ActivityHandle[Any] | None = None

    def start(
        self,
        activity: str,
        argument: BaseModel,
        result_type: type[_T],
        *,
        within: timedelta,
        retry_policy: RetryPolicy,
        summary: str | None = None,
    ) -> workflow.ActivityHandle[_T]:
        """The activity, begun unless it is under way; another one is cancelled."""
        if self._handle is None or self._argument != argument:
            self.stop()
            self._argument = argument
            self._handle = workflow.start_activity(
                activity,
                argument,
                result_type=result_type,
                start_to_close_timeout=within,
                retry_policy=retry_policy,
                summary=summary,
            )
            # Its end may come when nobody waits for it any more; asyncio would log that as lost.
            self._handle.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._handle

    def stop(self) -> None:
        """Nobody will ask for it again."""
        if self._handle is not None and not self._handle.done():
            self._handle.cancel()
        self._argument = self._handle = None
