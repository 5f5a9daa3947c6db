"""The store's connection to the broker: everything below anpr/v1 comes in, receipts go out.

No work is done in the client's thread beyond queueing. The session is not kept: nodes send again what has no receipt.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from simulators.backoffice.receipts import Receipt
from simulators.backoffice.topics import SUBSCRIPTION

KEEPALIVE_S: Final = 30
RECONNECT_S: Final = (1, 10)
RECEIPTS_QUEUED_MOST: Final = 1_000
_FAILURES_FROM: Final = 0x80


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and how it is spoken to. `ca` None means no TLS."""

    host: str
    port: int
    mqtt: int
    ca: Path | None
    certificate: Path | None
    key: Path | None


class Connection:
    """One client for the life of the process; it reconnects and subscribes again by itself."""

    def __init__(self, address: Address, subscribed: Callable[[], None], say: Callable[[str], None]) -> None:
        self._address, self._subscribed, self._say = address, subscribed, say
        self._take: Callable[[str, bytes], None] | None = None
        self._is_v5 = address.mqtt == 5
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"anpr-backoffice-{secrets.token_hex(6)}",
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_v5 else MQTTProtocolVersion.MQTTv311,
        )
        self._client.max_queued_messages_set(RECEIPTS_QUEUED_MOST)
        self._client.reconnect_delay_set(*RECONNECT_S)
        if address.ca is not None:
            self._client.tls_set_context(_tls(address))
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def start(self, take: Callable[[str, bytes], None]) -> None:
        """Connect in the background, however long the broker takes; messages go to `take`."""
        self._take = take
        self._client.connect_async(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect cleanly and end the client's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, receipt: Receipt) -> None:
        """Hand a receipt to the client. One that is lost is owed again when the node sends again."""
        properties = None
        if self._is_v5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = "application/cbor"
        self._client.publish(receipt.topic, receipt.payload, qos=1, properties=properties)

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._say(f"the broker refused the connection: {reason}")
        elif self._is_v5:
            client.subscribe(SUBSCRIPTION, options=SubscribeOptions(qos=1, noLocal=True))
        else:
            client.subscribe(SUBSCRIPTION, qos=1)

    def _on_subscribe(
        self,
        client: mqtt.Client,
        userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        if any(reason.value >= _FAILURES_FROM for reason in reasons):
            self._say(f"the broker refused the subscription: {reasons[0]}")
        else:
            self._subscribed()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        if self._take is not None:
            self._take(topic, bytes(message.payload))


def _tls(address: Address) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=address.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if address.certificate is not None:
        context.load_cert_chain(address.certificate, address.key)
    return context
