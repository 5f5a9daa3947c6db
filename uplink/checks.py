"""The checks of this room: name, network, TLS, MQTT, receipts, certificate - in the order a connection passes them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.check import Finding, bad, good, poor, unknown
from edge.clock import utc_ms
from edge.situation import CERTIFICATE_BAD_DAYS, CERTIFICATE_POOR_DAYS
from uplink import trouble
from uplink.client import BrokerAddress
from uplink.line import Line
from uplink.tls import Tls, why
from uplink.trouble import Ended, Fell

WITHIN_S = 10.0


async def reach(host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as problem:  # TimeoutError is one
        return _said(trouble.unreachable(problem))
    writer.close()
    return good(f"a connection to port {port} of the broker comes about")


def _said(ended: Ended) -> Finding:
    return bad(ended.words, ended.hint)


async def tls(host: str, port: int, settings: Tls | None) -> Finding:
    if settings is None:
        return poor(
            "the uplink is not encrypted (uplink.tls is false)", "only for a broker on this machine or in a VPN"
        )
    try:
        async with asyncio.timeout(WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=settings.context())
    except ssl.SSLError as problem:
        return _said(why(problem, settings.certificate, utc_ms()))
    except OSError as problem:
        return _said(trouble.unreachable(problem))
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return good(f"{version}, and the broker's certificate verifies")


async def mqtt(host: str, port: int, settings: Tls | None, protocol: int, client_id: str) -> Finding:
    """A connection of its own, under a name of its own: the service keeps its session."""
    broker = BrokerAddress(host, port, settings, protocol, int(WITHIN_S), f"{client_id}-doctor")
    context = settings.context() if settings is not None else None
    line = Line(broker, context, None, (), lambda _topic, _payload: None, utc_ms)
    try:
        await line.come_up()
    except Fell as fell:
        return _said(fell.ended)
    finally:
        line.close()
    return good(f"the broker accepts this node, MQTT {'5' if protocol == 5 else '3.1.1'}")


def receipts(status: Mapping[str, Any], timeout_s: float) -> Finding:
    """Whether the store says that it has what was sent."""
    uplink, buffer = status["uplink"], status["buffer"]
    if not uplink["up"]:
        return bad(f"the service is not connected: {uplink['problem'] or 'connecting'}", "see the checks above")
    if uplink["acknowledge"] == "broker":
        return poor("records are forgotten on the broker's word alone", "set uplink.acknowledge to store when it can")
    age_s, oldest_s = uplink["receipt_age_s"], buffer["oldest_age_s"]
    if oldest_s is not None and oldest_s > 2 * timeout_s:
        return bad(
            f"the oldest record has waited {oldest_s} s for its receipt",
            "the broker is there and the store is not: ask whether it runs and knows this node's key",
        )
    if age_s is None:
        return unknown("no receipt has come yet since the start", "send a read, and ask again")
    return good(f"the last receipt came {age_s} s ago; nothing waits too long")


def certificate(days: int | None, path: Path | None) -> Finding:
    if path is None:
        return good("no certificate is in use")
    if days is None:
        return bad("the node's certificate cannot be read", "check uplink.certificate")
    if days < CERTIFICATE_BAD_DAYS:
        return bad(f"the node's certificate ends in {days} days", "renew it now; after its end records only buffer")
    if days < CERTIFICATE_POOR_DAYS:
        return poor(f"the node's certificate ends in {days} days", "renew it before the next long outage")
    return good(f"the node's certificate has {days} days left")
