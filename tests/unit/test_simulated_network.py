"""The simulated brokers and links do what real ones do, and lose nothing of their own accord."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from simulators.broker import find_mosquitto
from simulators.network import Relay

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0


def wait_until(true: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


@contextmanager
def broker(kind: str) -> Iterator[int]:
    command = [sys.executable, "-m", "simulators", "broker", "--kind", kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["kind"] == kind
            yield ready["port"]
        finally:
            process.terminate()
            assert process.wait(LIMIT_S) == 0


@contextmanager
def client(
    port: int, name: str, topic: str = "", *, persistent: bool = False
) -> Iterator[tuple[mqtt.Client, list[mqtt.MQTTMessage]]]:
    """A connected client, subscribed to `topic` if one is given, and what it hears."""
    heard: list[mqtt.MQTTMessage] = []
    subscribed = threading.Event()
    one = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=name, clean_session=not persistent, protocol=MQTTProtocolVersion.MQTTv311
    )
    one.on_message = lambda _client, _data, message: heard.append(message)
    one.on_subscribe = lambda *_: subscribed.set()
    one.will_set("anpr/v1/o/s/n/state", b"lost", qos=1, retain=True)
    one.connect("127.0.0.1", port)
    one.loop_start()
    try:
        if topic:
            one.subscribe(topic, qos=1)
            assert subscribed.wait(LIMIT_S)
        yield one, heard
    finally:
        one.disconnect()
        one.loop_stop()


@pytest.fixture(params=["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker_port(request: pytest.FixtureRequest) -> Iterator[int]:
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("Mosquitto is not installed")
    with broker(request.param) as port:
        yield port


def test_a_broker_loses_nothing_at_50_messages_a_second(broker_port: int) -> None:
    payloads = [b"%04d" % number + os.urandom(30_000) for number in range(150)]
    with client(broker_port, "store", "anpr/v1/#") as (_, heard), client(broker_port, "node") as (node, _):
        sent, turn = [], threading.Event()
        began = time.monotonic()
        for number, payload in enumerate(payloads):
            turn.wait(max(0.0, began + number / 50 - time.monotonic()))
            sent.append(node.publish("anpr/v1/o/s/n/read", payload, qos=1))
        for one in sent:
            one.wait_for_publish(LIMIT_S)
        wait_until(lambda: len(heard) >= len(payloads), "every message")
    assert [message.payload for message in heard] == payloads


def test_a_broker_retains_and_gives_wills(broker_port: int) -> None:
    topic = "anpr/v1/o/s/n/state"
    with client(broker_port, "store", topic) as (_, heard):
        with client(broker_port, "node") as (node, _):
            node.publish(topic, b"ready", qos=1, retain=True).wait_for_publish(LIMIT_S)
            with client(broker_port, "late", topic) as (_, late):
                wait_until(lambda: any(m.retain and m.payload == b"ready" for m in late), "the retained message")
            socket = node.socket()
            assert socket is not None
            node.loop_stop()
            socket.close()  # no DISCONNECT
        wait_until(lambda: [m.payload for m in heard][-1:] == [b"lost"], "the will")


def test_a_broker_keeps_messages_for_a_client_that_will_be_back(broker_port: int) -> None:
    with client(broker_port, "store", "anpr/v1/#", persistent=True):
        pass
    with client(broker_port, "node") as (node, _):
        for number in range(10):
            node.publish("anpr/v1/o/s/n/read", b"%d" % number, qos=1).wait_for_publish(LIMIT_S)
    with client(broker_port, "store", persistent=True) as (_, heard):
        wait_until(lambda: len(heard) == 10, "what was kept")


# --- network


@asynccontextmanager
async def echo_behind_relay(delay_s: float = 0.0) -> AsyncIterator[Relay]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Relay("127.0.0.1", server.sockets[0].getsockname()[1], delay_s=delay_s) as relay:
        yield relay
    server.close()


def on_loop(scene: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


def test_a_relay_changes_no_byte() -> None:
    async def scene() -> None:
        sent = random.Random(1).randbytes(3_000_000)
        async with echo_behind_relay() as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)

            async def send() -> None:
                writer.write(sent)
                await writer.drain()
                writer.write_eof()

            _, heard = await asyncio.gather(send(), reader.read(-1))
            writer.close()
        assert heard == sent

    on_loop(scene)


def test_a_cut_resets_and_refuses_until_it_is_healed() -> None:
    async def scene() -> None:
        async with echo_behind_relay() as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            await relay.cut()
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            writer.transport.abort()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", relay.port)
            await relay.heal()
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(b"after")
            assert await reader.readexactly(5) == b"after"
            writer.transport.abort()

    on_loop(scene)


def test_a_frozen_link_accepts_and_passes_nothing_until_it_is_healed() -> None:
    async def scene() -> None:
        async with echo_behind_relay() as relay:
            old_reader, old_writer = await asyncio.open_connection("127.0.0.1", relay.port)
            old_writer.write(b"x")
            assert await old_reader.readexactly(1) == b"x"
            await relay.freeze()
            new_reader, new_writer = await asyncio.open_connection("127.0.0.1", relay.port)
            old_writer.write(b"old")
            new_writer.write(b"new")
            for reader in (old_reader, new_reader):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.2)
            await relay.heal()
            assert await old_reader.readexactly(3) == b"old"
            assert await new_reader.readexactly(3) == b"new"
            old_writer.transport.abort()
            new_writer.transport.abort()

    on_loop(scene)


def test_a_delay_holds_bytes_back_without_limiting_the_rate() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with echo_behind_relay(delay_s=0.15) as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            began = loop.time()
            writer.write(bytes(400_000))  # some 25 chunks
            await reader.readexactly(400_000)
            took_s = loop.time() - began
            writer.transport.abort()
        assert 0.3 <= took_s < 2.0

    on_loop(scene)


def test_the_network_command_obeys_its_standard_input() -> None:
    command = [sys.executable, "-m", "simulators", "network", "--to", "127.0.0.1:9"]
    done = subprocess.run(
        command, cwd=ROOT, input="cut\nheal\nfreeze\n", capture_output=True, text=True, timeout=LIMIT_S
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[0]["ready"] is True
    assert [line["done"] for line in told[1:]] == ["cut", "heal", "freeze"]
    assert done.returncode == 0
