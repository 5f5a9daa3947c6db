"""One more subscriber at the site's broker: everything that is published while it listens, in order."""

from __future__ import annotations

import json
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from whole_site import Site, until

RECORDS = ("read", "overview", "act")


class Overheard:
    """Subscribed to `anpr/#` as a context manager; it connects again by itself."""

    def __init__(self, site: Site) -> None:
        five = site.protocol == 5
        self.messages: list[tuple[str, bytes]] = []
        self._port = site.broker_port
        self._subscribed = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id="overheard",
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("anpr/#", qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda _c, _u, message: self.messages.append((message.topic, bytes(message.payload)))

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed = True

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        until("a subscription to everything", lambda: self._subscribed)
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def named(self, word: str) -> list[dict[str, Any]]:
        """The JSON of each message on the node's topic of this name, in order, repetitions once."""
        found: list[dict[str, Any]] = []
        for topic, payload in list(self.messages):
            if topic.endswith(f"/{word}") and payload and (told := json.loads(payload)) not in found:
                found.append(told)
        return found

    def records(self) -> list[bytes]:
        return [payload for topic, payload in list(self.messages) if topic.rpartition("/")[2] in RECORDS]

    def others(self) -> list[tuple[str, bytes]]:
        """What is neither a record nor a receipt: JSON, all of it."""
        closed = (*RECORDS, "receipt")
        return [(topic, payload) for topic, payload in list(self.messages) if topic.rpartition("/")[2] not in closed]
