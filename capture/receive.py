"""The one door: a delivery in, an answer out, whatever it was carried by.

An unknown source is refused before a byte is decoded. What may not happen here: an exception other than a crash of ours
because of a camera's bytes; more in hand than the limits; an answer "stored" before every read of the delivery is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from capture.delivery import MIB, Answer, Delivery, InHand, plain
from edge.camera import Camera
from edge.claim import Arrival, Life, Outcome, RawRead, SignOfLife, Verdict, Way
from edge.errors import Refused

_SMALL_BYTES = 64 * 1024
"""Below this, understanding takes less than a hop to a thread and back is worth."""

_WORST_FIRST = (
    Outcome.LATER,
    Outcome.REFUSED,
    Outcome.STORED,
    Outcome.REPEATED,
    Outcome.DROPPED,
    Outcome.HEARD,
)


class Dialect(Protocol):
    """A camera's way of saying it. Pure."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    def recognises(self, delivery: Delivery) -> bool:
        """Cheap, by content: whether this delivery looks like it."""
        ...

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """What it says: none, one or several. Raises `Refused`."""
        ...

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """The body and status this vendor's cameras expect for a verdict on a delivery."""
        ...


class Receiver:
    """Deliveries of the configured cameras. `dialects` by camera id.

    `accept` ends after the commit. `heard` and `refused` count; `refused` is told what never came to `accept`.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        dialects: Mapping[str, Dialect],
        accept: Callable[[RawRead, Arrival], Awaitable[Verdict]],
        heard: Callable[[SignOfLife, Arrival], None],
        refused: Callable[[str, Arrival], None],
        *,
        in_hand: int = 16,
        in_hand_bytes: int = 64 * MIB,
    ) -> None:
        self._cameras = tuple(cameras)
        self._dialects = {camera.id: dialects[camera.id] for camera in cameras}
        self._accept = accept
        self._heard = heard
        self._refused = refused
        self._in_hand = InHand(in_hand, in_hand_bytes)

    def knows(self, address: str) -> bool:
        """Whether any camera may send from this address, to whatever path."""
        return any(camera.way is Way.HTTP_PUSH and camera.stands_at(address) for camera in self._cameras)

    async def receive(self, delivery: Delivery) -> Answer:
        """The answer to a delivery, after everything it says is stored, refused or put off."""
        arrival = delivery.arrival
        spoken = self._spoken_at(arrival)
        if not spoken:
            return plain(self._refuse("unknown_source", arrival))
        size_bytes = len(delivery.body)
        if not self._in_hand.take(size_bytes):
            busy = Verdict(Outcome.LATER, "busy")
            return spoken[0].answer(busy, delivery) if len(spoken) == 1 else plain(busy)
        try:
            dialect = spoken[0] if len(spoken) == 1 else next((d for d in spoken if d.recognises(delivery)), None)
            if dialect is None:
                return plain(self._refuse("unrecognised", arrival))
            return dialect.answer(await self._take_in(delivery, dialect), delivery)
        finally:
            self._in_hand.give(size_bytes)

    async def _take_in(self, delivery: Delivery, dialect: Dialect) -> Verdict:
        try:
            if len(delivery.body) < _SMALL_BYTES:
                items = _understood(dialect, delivery)
            else:
                items = await asyncio.to_thread(_understood, dialect, delivery)
        except Refused as refused:
            return self._refuse(refused.reason, delivery.arrival)
        worst = Verdict(Outcome.HEARD)
        for item in items or (SignOfLife(Life.OTHER_EVENT, "nothing", None),):
            if isinstance(item, SignOfLife):
                self._heard(item, delivery.arrival)
                continue
            worst = min(worst, await self._accept(item, delivery.arrival), key=_rank)
            if worst.outcome is Outcome.LATER:
                break  # the camera sends all of it again; what is stored by then is a repeat
        return worst

    def _spoken_at(self, arrival: Arrival) -> list[Dialect]:
        """The dialects of the cameras that send from here, each once."""
        spoken: list[Dialect] = []
        for camera in self._cameras:
            if camera.sends(arrival) and self._dialects[camera.id] not in spoken:
                spoken.append(self._dialects[camera.id])
        return spoken

    def _refuse(self, reason: str, arrival: Arrival) -> Verdict:
        self._refused(reason, arrival)
        return Verdict(Outcome.REFUSED, reason)


def _rank(verdict: Verdict) -> int:
    return _WORST_FIRST.index(verdict.outcome)


def _understood(dialect: Dialect, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
    try:
        return dialect.understand(delivery)
    except Refused:
        raise
    except Exception:  # noqa: BLE001 - hostile bytes: whatever a decoder makes of them, the node goes on
        raise Refused(f"a delivery broke the dialect {dialect.name}", reason="undecodable") from None
