"""How a camera's broker is spoken to: the settings of a line, and paho with limits.

What may not happen here: a message above the limit in memory; an acknowledgement that nobody asked for.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from capture.backoff import Backoff
from capture.delivery import MIB
from capture.login import Login
from capture.tls import Trust

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class MqttCamera:
    """A camera and the broker it speaks through: its own, or one that others use too. `protocol`: 5, or 3 for 3.1.1.
    `client_id` must be this line's alone: a second client of that name takes the line over."""

    camera: str
    host: str = field(repr=False)
    port: int
    topics: tuple[str, ...] = field(repr=False)
    client_id: str = field(repr=False)
    login: Login | None = None
    trust: Trust = Trust.OFF
    authority: Path | None = None
    protocol: int = 5


@dataclass(frozen=True, slots=True)
class MqttLimits:
    """`in_hand` messages of one line may wait: with MQTT 5 the broker is told so and keeps the rest; else nothing more
    is read (Mosquitto's own window is 20). `in_hand_bytes` is for all lines. `keepalive_s`: a silent broker shows after
    one to two of these. `session_s`: how long a broker keeps what came while the line was down. `message_s` from a
    message's first byte to its last. `hold_s` between two tries of a delivery that is put off. A line that holds for
    `settled_s` counts as mended."""

    connect_s: float = 10
    keepalive_s: int = 30
    session_s: int = 3600
    settled_s: float = 10
    message_s: float = 30
    hold_s: float = 1
    stop_s: float = 5
    in_hand: int = 32
    message_bytes: int = 8 * MIB
    in_hand_bytes: int = 64 * MIB
    backoff: Backoff = field(default_factory=Backoff)


class Client(paho.Client):
    """paho, which would read a message of 256 MB, keep any number of those that come with QoS 2, and connect in a way
    that cannot be stopped."""

    most_bytes = 0
    too_large = False
    given: socket.socket

    @property
    def half_read(self) -> bool:
        """Whether a message has begun, and not ended."""
        return self._in_packet["command"] != 0

    def _create_socket(self) -> socket.socket:
        return self.given

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self.most_bytes:  # what is still to come of one message
            self.too_large = True
            raise OSError(errno.EMSGSIZE, "a message is too large")
        return super()._sock_recv(min(bufsize, _READ_BYTES))

    def _handle_publish(self) -> MQTTErrorCode:
        if self._in_packet["command"] & 0x06 > 0x02:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL  # QoS 2, which we have not asked for
        return super()._handle_publish()


def client_of(camera: MqttCamera, limits: MqttLimits) -> Client:
    """A client for one connection."""
    five = camera.protocol == 5
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=camera.client_id,
        clean_session=None if five else False,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.most_bytes = limits.message_bytes + _READ_BYTES
    if camera.login is not None:
        client.username_pw_set(camera.login.user, camera.login.password)
    return client
