"""The broker that needs no installation: amqtt inside this process, MQTT 3.1.1, on loopback only.

Nothing is promised that amqtt does not keep. It drops a QoS 1 message whose receiver does not acknowledge it in
five seconds, and what a publisher had acknowledged and not yet passed on when it goes: so a node may use it only
together with store receipts. It does not notice a silent client (no will without a closed connection), and gives a
new client the retained messages of every topic that any client has subscribed to.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Callable

from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, MQTTError, NoDataError
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session

LISTENER = "default"


class Everybody(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets every client in, as a named one.

    amqtt's own plug-in for anonymous clients marks them so, and then neither keeps their sessions nor queues
    messages for them while they are away.
    """

    async def authenticate(self, *, session: Session) -> bool:
        session.is_anonymous = False
        return True


async def serve(port: int, tls: ssl.SSLContext | None, ready: Callable[[int], None]) -> None:
    """Accept MQTT on 127.0.0.1 until SIGTERM or SIGINT; calls `ready` with the port once it listens.

    Raises `OSError` where the port is taken.
    """
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    # an external listener: the socket is ours, so that port 0 can be asked what it became
    broker = Broker(
        {
            "listeners": {LISTENER: {"type": "external"}},
            "plugins": {f"{__name__}.Everybody": {}},
        }
    )
    await broker.start()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), LISTENER)
        except (AMQTTError, MQTTError, NoDataError, OSError) as problem:
            print(f"a client was dropped: {type(problem).__name__}", file=sys.stderr)
        finally:
            writer.close()

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls, backlog=128)
    ready(server.sockets[0].getsockname()[1])
    await stopped.wait()
    server.close()
    await broker.shutdown()
