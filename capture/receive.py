"""The one door: a delivery in, an answer out, whatever it was carried by.

An unknown source is refused before a byte is decoded. What may not happen here: an exception other than a crash of ours
because of a camera's bytes; more in hand than the limits; an answer "stored" before every read of the delivery is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from capture.delivery import MIB, Answer, Delivery, InHand, plain
from capture.rates import Rates, Shares
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


class Ear(Protocol):
    """Who listens to what the door understood. `accept` ends after the commit; the others count."""

    async def accept(self, raw: RawRead, arrival: Arrival) -> Verdict: ...

    def heard(self, life: SignOfLife, arrival: Arrival) -> None: ...

    def refused(self, reason: str, arrival: Arrival) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be in hand of all sources and of one, and how often one may deliver (deliveries a second, and at once
    after a silence)."""

    in_hand: int = 16
    in_hand_bytes: int = 64 * MIB
    of_one: int = 8
    per_s: float = 20
    burst: int = 200


class Receiver:
    """Deliveries of the configured cameras. `dialects` by camera id; `set_aside` is handed what a known camera sent and
    its dialect did not understand, with the camera and the reason; `mono_ns`: the clock, None for that of arrivals.
    `put_off` counts what was told to come later, by reason.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        dialects: Mapping[str, Dialect],
        ear: Ear,
        bounds: Bounds = Bounds(),
        set_aside: Callable[[Delivery, Camera, str], None] = lambda *_: None,
        mono_ns: Callable[[], int] | None = None,
    ) -> None:
        self._cameras = tuple(cameras)
        self._dialects = {camera.id: dialects[camera.id] for camera in cameras}
        self._ear = ear
        self.put_off: Counter[str] = Counter()
        self._set_aside = set_aside
        self._mono_ns = mono_ns
        self._in_hand = InHand(bounds.in_hand, bounds.in_hand_bytes)
        self._shares = Shares(bounds.of_one)
        self._rates = Rates(bounds.per_s, bounds.burst)

    def knows(self, address: str, way: Way = Way.HTTP_PUSH) -> bool:
        """Whether any camera may come on this way from this address, to whatever path."""
        return any(camera.way is way and camera.stands_at(address) for camera in self._cameras)

    def stands_at(self, camera: str, address: str) -> bool:
        """Whether the camera of that id may speak from this address."""
        return any(each.id == camera and each.stands_at(address) for each in self._cameras)

    def cameras_at(self, address: str, path: str) -> list[str]:
        """The ids of the cameras that may push from an address to a path."""
        standing = [camera for camera in self._cameras if camera.way is Way.HTTP_PUSH and camera.stands_at(address)]
        return [camera.id for camera in standing if camera.path in (None, path)]

    async def receive(self, delivery: Delivery) -> Answer:
        """The answer to a delivery, after everything it says is stored, refused or put off."""
        arrival = delivery.arrival
        here = [camera for camera in self._cameras if camera.sends(arrival)]
        spoken = self._spoken_by(here)
        if not here:
            return plain(self._refuse("unknown_source", arrival))
        source = arrival.camera or arrival.address
        later = self._too_much(source, delivery)
        if later is not None:
            self.put_off[later.reason] += 1
            return spoken[0].answer(later, delivery) if len(spoken) == 1 else plain(later)
        try:
            dialect = spoken[0] if len(spoken) == 1 else next((d for d in spoken if d.recognises(delivery)), None)
            if dialect is None:
                return plain(self._not_understood("unrecognised", delivery, here))
            return dialect.answer(await self._take_in(delivery, dialect, here), delivery)
        finally:
            self._shares.give(source)
            self._in_hand.give(len(delivery.body))

    def _spoken_by(self, cameras: Sequence[Camera]) -> list[Dialect]:
        """Their dialects, each once."""
        spoken: list[Dialect] = []
        for camera in cameras:
            if self._dialects[camera.id] not in spoken:
                spoken.append(self._dialects[camera.id])
        return spoken

    def _too_much(self, source: str, delivery: Delivery) -> Verdict | None:
        """Why it must come later, or None: then it is in hand."""
        if not self._shares.take(source):
            return Verdict(Outcome.LATER, "busy")
        # One that is tried again carries the moment of its arrival; its rate is asked for now.
        now_ns = delivery.arrival.received.mono_ns if self._mono_ns is None else self._mono_ns()
        if not self._rates.allows(source, now_ns):
            self._shares.give(source)
            return Verdict(Outcome.LATER, "too_often")
        if not self._in_hand.take(len(delivery.body)):
            self._shares.give(source)
            return Verdict(Outcome.LATER, "busy")
        return None

    async def _take_in(self, delivery: Delivery, dialect: Dialect, here: Sequence[Camera]) -> Verdict:
        try:
            if len(delivery.body) < _SMALL_BYTES:
                items = _understood(dialect, delivery)
            else:
                items = await asyncio.to_thread(_understood, dialect, delivery)
        except Refused as refused:
            return self._not_understood(refused.reason, delivery, here)
        worst = Verdict(Outcome.HEARD)
        for item in items or (SignOfLife(Life.OTHER_EVENT, "nothing", None),):
            if isinstance(item, SignOfLife):
                self._ear.heard(item, delivery.arrival)
                continue
            if delivery.replayed:
                self._ear.heard(SignOfLife(Life.OTHER_EVENT, "replayed", item.camera_identity), delivery.arrival)
                continue
            worst = min(worst, await self._ear.accept(item, delivery.arrival), key=_rank)
            if worst.outcome is Outcome.LATER:
                break  # the camera sends all of it again; what is stored by then is a repeat
        return worst

    def _not_understood(self, reason: str, delivery: Delivery, here: Sequence[Camera]) -> Verdict:
        if len(here) == 1:
            self._set_aside(delivery, here[0], reason)
        return self._refuse(reason, delivery.arrival)

    def _refuse(self, reason: str, arrival: Arrival) -> Verdict:
        self._ear.refused(reason, arrival)
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
