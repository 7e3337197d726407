"""Which sockets this gateway holds: one a charger, the newest."""

from collections.abc import Iterator

from websockets.frames import CloseCode

from gateway.session import ChargerSession


class Registry:
    """Sessions by charger; the `ChargerLinks` of the activities."""

    def __init__(self) -> None:
        self._sessions: dict[int, ChargerSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[ChargerSession]:
        return iter(list(self._sessions.values()))

    @property
    def calls_waiting(self) -> int:
        """CALLs of chargers whose turn has not come, of all sockets."""
        return sum(session.waiting_count for session in self)

    def count_of(self, subprotocol: str) -> int:
        """How many sockets speak it."""
        return sum(session.dialect.subprotocol == subprotocol for session in self)

    def of(self, charger_id: int) -> ChargerSession | None:
        """The charger's session, None when it is not connected here."""
        return self._sessions.get(charger_id)

    def enter(self, session: ChargerSession) -> bool:
        """Make this the charger's session and close an older one; False when a newer one is here already."""
        present = self._sessions.get(session.charger_id)
        if present is not None and present.epoch > session.epoch:
            return False
        self._sessions[session.charger_id] = session
        if present is not None:
            present.close(CloseCode.NORMAL_CLOSURE, "replaced by a newer connection")
        return True

    def leave(self, session: ChargerSession) -> None:
        """Forget this session; a newer one of the same charger stays."""
        if self._sessions.get(session.charger_id) is session:
            del self._sessions[session.charger_id]
