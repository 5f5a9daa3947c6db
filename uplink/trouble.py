"""Why there is no link, as one of a closed set and in words that say what to do. Pure.

What may not happen here: an address, a name or a key in the words, which reach logs and screens.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import Enum


class Trouble(Enum):
    NAME = "name"  # DNS
    UNREACHABLE = "unreachable"
    SILENT = "silent"  # no answer in time: a frozen broker, a dead line
    CUT = "cut"  # the connection ended without a word
    CERTIFICATE = "certificate"
    CLOCK = "clock"  # a certificate's dates do not fit this node's clock
    REFUSED = "refused"
    BUSY = "busy"
    TAKEN_OVER = "taken_over"  # another client came with this node's name
    STOPPED = "stopped"  # the broker goes down, or sends its clients away
    BLAMED = "blamed"  # the broker hung up over what was sent
    RETURNING = "returning"  # to the preferred broker, by the node's own will


PATIENT = frozenset({Trouble.CERTIFICATE, Trouble.REFUSED, Trouble.BUSY, Trouble.TAKEN_OVER})
"""What seldom mends itself within seconds: asked again more slowly."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a connection ended, or why it did not come about."""

    trouble: Trouble
    words: str
    hint: str = ""

    def said(self) -> str:
        return f"{self.words}; {self.hint}" if self.hint else self.words


class Fell(Exception):
    """A connection that did not come about."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.said())
        self.ended = ended


# MQTT 5's reason codes in CONNACK and DISCONNECT. Those that are not here say that what was sent is to blame.
_CODES: dict[int, Ended] = {
    0x84: Ended(Trouble.REFUSED, "the broker does not speak this MQTT version", "check uplink.protocol"),
    0x85: Ended(Trouble.REFUSED, "the broker does not accept this node's client id", "ask its operator"),
    0x86: Ended(Trouble.REFUSED, "the broker does not accept this node's certificate or name", "ask its operator"),
    0x87: Ended(Trouble.REFUSED, "the broker does not authorise this node", "ask its operator"),
    0x88: Ended(Trouble.STOPPED, "the broker is not available"),
    0x89: Ended(Trouble.BUSY, "the broker is busy"),
    0x8A: Ended(Trouble.REFUSED, "the broker has banned this node", "ask its operator"),
    0x8B: Ended(Trouble.STOPPED, "the broker is shutting down"),
    0x8C: Ended(Trouble.REFUSED, "the broker asks for another authentication method", "ask its operator"),
    0x8D: Ended(Trouble.SILENT, "the broker heard nothing for too long", "the line is slow or breaks"),
    0x8E: Ended(
        Trouble.TAKEN_OVER,
        "another client with this node's name took the connection over",
        "was this node cloned? each has a key, a certificate and a name of its own",
    ),
    0x97: Ended(Trouble.BUSY, "the broker's quota for this node is used up"),
    0x98: Ended(Trouble.STOPPED, "the broker's operator ended the connection"),
    0x9C: Ended(Trouble.STOPPED, "the broker sends this node to another", "set it in uplink.broker"),
    0x9D: Ended(Trouble.STOPPED, "the broker has moved", "set its new address in uplink.broker"),
    0x9F: Ended(Trouble.BUSY, "the broker gets too many connections"),
    0xA0: Ended(Trouble.STOPPED, "the broker ends connections of this age"),
}
_OF_MQTT_3 = {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}


def refused(code: int) -> Ended:
    """Why a CONNACK's code of 1 to 5 (MQTT 3.1.1) or from 0x80 says that there is no connection."""
    code = _OF_MQTT_3.get(code, code)
    return _CODES.get(code) or Ended(Trouble.REFUSED, f"the broker refuses the connection with code {code}")


def ended(code: int) -> Ended:
    """Why the broker ended the connection, by the code of its DISCONNECT."""
    known = _CODES.get(code)
    if known is not None and code != 0x87:  # not authorised: for what was sent, once the connection stood
        return known
    return Ended(Trouble.BLAMED, f"the broker ended the connection over what was sent: code {code}")


def unreachable(problem: OSError) -> Ended:
    """Why a connection did not come about below TLS."""
    if isinstance(problem, socket.gaierror):
        return Ended(Trouble.NAME, "the broker's name has no address", "check uplink.broker, and DNS: resolvectl query")
    if isinstance(problem, TimeoutError):
        return Ended(Trouble.SILENT, "the broker does not answer in time", "check modem, route and firewall: ip route")
    # The texts of asyncio and ssl name addresses, or no reason: the kernel's word instead.
    why = os.strerror(problem.errno).lower() if problem.errno else "no address of it answers"
    return Ended(Trouble.UNREACHABLE, f"the broker cannot be reached: {why}", "check uplink.broker, and that it runs")
