"""The checks of this room: name, network, TLS, MQTT, receipts, certificate - in the order a connection passes them."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.check import Finding, bad, good, poor, unknown
from edge.situation import CERTIFICATE_BAD_DAYS, CERTIFICATE_POOR_DAYS
from uplink.mqtt import Tls, settle

WITHIN_S = 10.0
_NOT_YET_VALID, _EXPIRED = 9, 10  # X509_V_ERR_*: with a wrong clock these are questions about the clock


async def reach(host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except socket.gaierror:
        return bad("the broker's name has no address", "check uplink.broker, and DNS: resolvectl query")
    except TimeoutError:
        return bad("the broker does not answer in time", "check modem, route and firewall: ip route; mtr")
    except OSError as problem:
        return bad(f"the broker cannot be reached: {_why(problem)}", "check uplink.broker, and that it runs")
    writer.close()
    return good(f"a connection to port {port} of the broker comes about")


def _why(problem: OSError) -> str:
    """Asyncio's own text names the address, or for several addresses no reason: the kernel's word instead."""
    return os.strerror(problem.errno).lower() if problem.errno else "no address of it answers"


async def tls(host: str, port: int, settings: Tls | None) -> Finding:
    if settings is None:
        return poor(
            "the uplink is not encrypted (uplink.tls is false)", "only for a broker on this machine or in a VPN"
        )
    try:
        async with asyncio.timeout(WITHIN_S):
            _, writer = await asyncio.open_connection(host, port, ssl=settings.context())
    except ssl.SSLCertVerificationError as problem:
        if problem.verify_code in (_NOT_YET_VALID, _EXPIRED):
            word = "not valid yet" if problem.verify_code == _NOT_YET_VALID else "past its end"
            return bad(
                f"the broker's certificate is {word} by this clock", "is the clock right? anpr-edge doctor clock"
            )
        return bad(f"the broker's certificate does not verify: {problem.verify_message}", "check uplink.ca")
    except (ssl.SSLError, OSError, TimeoutError) as problem:
        return bad(f"TLS does not come about: {type(problem).__name__}", "check uplink.certificate and uplink.key")
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return good(f"{version}, and the broker's certificate verifies")


async def mqtt(host: str, port: int, settings: Tls | None, protocol: int, client_id: str) -> Finding:
    """A connection of its own, under a name of its own: the service keeps its session."""
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[str] = loop.create_future()
    version = paho.MQTTv5 if protocol == 5 else paho.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, f"{client_id}-doctor", protocol=version)
    if settings is not None:
        client.tls_set_context(settings.context())

    def on_connect(_c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        loop.call_soon_threadsafe(settle, answered, str(code) if code.is_failure else "")

    client.on_connect = on_connect
    try:
        await asyncio.to_thread(client.connect, host, port, 10)
        client.loop_start()
        async with asyncio.timeout(WITHIN_S):
            refusal = await answered
    except (OSError, TimeoutError):
        return bad(
            "the broker takes the connection and does not answer in MQTT",
            "check the port in uplink.broker; if it is right, the broker hangs",
        )
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    if refusal:
        return bad(f"the broker refuses this node: {refusal}", "check the node's certificate and the broker's rules")
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
