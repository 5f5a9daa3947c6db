"""What is on its way: sent and not yet named by a receipt. Counted as it changes: no question walks through it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from edge.changes import Settle
from edge.read import Record

Key = tuple[bytes, int]
"""Epoch and seq."""


def key_of(record: Record) -> Key:
    return record.epoch, record.seq


@dataclass(slots=True)
class Flight:
    """A record on its way. `due_s`: when it is sent again unless a receipt comes; None while it is in the air.

    `aside`: set aside, because the broker hangs up over it; it outlives the connection.
    """

    record: Record
    sent_s: float
    tries: int = 1
    due_s: float | None = None
    alone: bool = False
    aside: bool = False
    entered: bool = False

    @property
    def size_bytes(self) -> int:
        return len(self.record.sealed)


@dataclass(slots=True)
class Flights:
    """`in_air`, `in_air_bytes`: what the broker has not answered; `waiting_bytes`: that and what waits for receipts."""

    in_air: int = 0
    in_air_bytes: int = 0
    waiting_bytes: int = 0
    _all: dict[Key, Flight] = field(default_factory=dict, repr=False)
    _dues: list[tuple[float, int, Key]] = field(default_factory=list, repr=False)

    def __contains__(self, record: Record) -> bool:
        return key_of(record) in self._all

    def aside(self) -> int:
        return sum(flight.aside for flight in self._all.values())

    def send(self, flight: Flight) -> None:
        """It is in the air, for the first time or again."""
        self.in_air += 1
        self.in_air_bytes += flight.size_bytes
        flight.due_s = None
        self._enter(flight)

    def _enter(self, flight: Flight) -> None:
        if self._all.setdefault(key_of(flight.record), flight) is flight and not flight.entered:
            flight.entered = True
            self.waiting_bytes += flight.size_bytes

    def answered(self, flight: Flight, due_s: float) -> None:
        """The broker has answered; it is sent again when due, but where a receipt came first."""
        self.in_air -= 1
        self.in_air_bytes -= flight.size_bytes
        if self._all.get(key_of(flight.record)) is flight:
            self.put_off(flight, due_s)

    def overdue(self, now_s: float) -> Flight | None:
        """The one that has been due longest; the same until it is sent, settled or put off."""
        due_s = self.next_due_s()
        return self._all[self._dues[0][2]] if due_s is not None and due_s <= now_s else None

    def put_off(self, flight: Flight, due_s: float) -> None:
        flight.due_s = due_s
        heapq.heappush(self._dues, (due_s, flight.record.row, key_of(flight.record)))

    def next_due_s(self) -> float | None:
        while self._dues and self._is_stale(*self._dues[0]):
            heapq.heappop(self._dues)
        return self._dues[0][0] if self._dues else None

    def _is_stale(self, due_s: float, _row: int, key: Key) -> bool:
        flight = self._all.get(key)
        return flight is None or flight.due_s != due_s

    def settle(self, settle: Settle) -> None:
        """Drop what a receipt names."""
        for first, last in (*settle.got, *((seq, seq) for seq, _ in settle.refused)):
            if last - first < len(self._all):
                keys = [(settle.epoch, seq) for seq in range(first, last + 1)]
            else:
                keys = [key for key in self._all if key[0] == settle.epoch and first <= key[1] <= last]
            for key in keys:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        flight = self._all.pop(key, None)
        if flight is None:
            return
        self.waiting_bytes -= flight.size_bytes  # where it is in the air it stays so, until the broker answers

    def begin_anew(self, now_s: float) -> None:
        """A new connection: nothing is in the air. What is set aside stays so."""
        kept = [flight for flight in self._all.values() if flight.aside]
        self._all.clear()
        self._dues.clear()
        self.in_air = self.in_air_bytes = self.waiting_bytes = 0
        for flight in kept:
            flight.entered = False
            self._enter(flight)
            self.put_off(flight, now_s if flight.due_s is None else flight.due_s)
