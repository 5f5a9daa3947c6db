"""What the uplink asks of whatever carries its messages: one method, and what may go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from edge.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish at QoS 1. `expiry_s`: None where it never expires."""

    topic: str
    payload: bytes = field(repr=False)
    retain: bool = False
    content_type: str = "application/json"
    expiry_s: int | None = None


class Disconnected(Unavailable):
    """The link went before the broker acknowledged. Nothing is known; the message is to be sent again."""

    def __init__(self) -> None:
        super().__init__("the link to the broker is down", "see why: anpr-edge doctor uplink")


class NotTaken(Unavailable):
    """The broker acknowledged with a failure code (MQTT 5, 0x80 and above). `code` is its number."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the broker refuses the message with code {code}", "look at the broker's access rules")
        self.code = code


class Transport(Protocol):
    """Implemented by the MQTT link, and by the fake that the courier's tests run on."""

    async def publish(self, message: Message) -> None:
        """Return once the broker has acknowledged with a success code; `NotTaken` or `Disconnected` otherwise."""
        ...
