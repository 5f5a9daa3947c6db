"""A paho client made ready for one connection: protocol, will, TLS, and a socket that finds a dead line by itself."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from uplink.tls import Tls
from uplink.transport import Message

CONNECT_TIMEOUT_S = 10.0
IN_FLIGHT_MESSAGES = 20  # Mosquitto's own limit; a broker may state a lower one in its CONNACK
WILL_DELAY_S = 20
USER_TIMEOUT_MS = 20_000  # what was sent into a dead line shows after this (measured: 6.4 s at 6 s)
TCP_KEEPALIVE = {socket.TCP_KEEPIDLE: 15, socket.TCP_KEEPINTVL: 3}  # and an idle one after 15 s and two probes


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    host: str
    port: int
    tls: Tls | None
    protocol: int
    keepalive_s: int
    client_id: str


def client(broker: BrokerAddress, context: ssl.SSLContext | None, will: Message | None) -> paho.Client:
    """Not connected yet."""
    five = broker.protocol == 5
    made = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=broker.client_id,
        clean_session=None if five else True,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    made.connect_timeout = CONNECT_TIMEOUT_S
    made.max_inflight_messages_set(IN_FLIGHT_MESSAGES)
    made.on_socket_open = _find_dead_lines
    if context is not None:
        made.tls_set_context(context)
    if will is not None:
        delayed = None
        if five:
            delayed = _properties(PacketTypes.WILLMESSAGE)
            delayed.WillDelayInterval = WILL_DELAY_S
        made.will_set(will.topic, will.payload, qos=1, retain=True, properties=delayed)
    return made


def connect(made: paho.Client, broker: BrokerAddress) -> None:
    """Name, TCP and TLS, and the CONNECT written; blocks. `OSError` or `ValueError` where it does not come about."""
    if broker.protocol == 5:
        # A will waits no longer than its session lives (MQTT 5, 3.1.3.2.2).
        session = _properties(PacketTypes.CONNECT)
        session.SessionExpiryInterval = WILL_DELAY_S
        made.connect(broker.host, broker.port, broker.keepalive_s, clean_start=True, properties=session)
    else:
        made.connect(broker.host, broker.port, broker.keepalive_s)


def subscriptions_of(topics: Sequence[str], protocol: int) -> list[Any]:
    """At QoS 1; on MQTT 5 without what this client publishes itself."""
    if protocol != 5:
        return [(topic, 1) for topic in topics]
    return [(topic, SubscribeOptions(qos=1, noLocal=True)) for topic in topics]


def properties_of(message: Message, protocol: int) -> Properties | None:
    """Hints for routing; what matters is in the payload."""
    if protocol != 5:
        return None
    properties = _properties(PacketTypes.PUBLISH)
    properties.ContentType = message.content_type
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    return properties


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped


def _find_dead_lines(_c: Any, _u: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in TCP_KEEPALIVE.items():
        sock.setsockopt(socket.IPPROTO_TCP, option, seconds)
