"""What the uplink asks of whatever carries its messages: one method, and what may go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edge.errors import Unavailable

NOBODY_LISTENS = 0x10
"""MQTT 5's only success code that is none: the broker took the message and had nobody to give it to."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish at QoS 1. `expiry_s`: None where it never expires.

    `record`: a sealed record; reports overtake it, and it must be heard by somebody. `alone`: nothing else is in the
    air with it, so that what it does to the connection is known to be its doing.
    """

    topic: str
    payload: bytes = field(repr=False)
    retain: bool = False
    content_type: str = "application/json"
    expiry_s: int | None = None
    record: bool = False
    alone: bool = False


class Disconnected(Unavailable):
    """The link went before the broker acknowledged. Nothing is known; the message is to be sent again.

    `suspect`: the broker hung up soon after this message and gave no reason of its own, or one against what was sent.
    """

    def __init__(self, *, suspect: bool = False) -> None:
        super().__init__("the link to the broker is down", "see why: anpr-edge doctor uplink")
        self.suspect = suspect


class NotTaken(Unavailable):
    """The broker acknowledged and does not pass it on. `code`: MQTT 5's, 0x80 and above, or `NOBODY_LISTENS`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the broker refuses the message with code {code}", "look at the broker's access rules")
        self.code = code


class Transport(Protocol):
    """Implemented by the MQTT link, and by the fake that the courier's tests run on."""

    async def publish(self, message: Message) -> None:
        """Return once the broker has acknowledged with a success code; `NotTaken` or `Disconnected` otherwise."""
        ...
