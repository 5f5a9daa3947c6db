"""Serial readers over pseudo terminals: acknowledgements, noise, silence, and an adapter that is pulled."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from capture.backoff import Backoff
from capture.framing import Framing, Shape
from capture.sources.serial_line import SerialLines, open_serial_line
from capture.sources.serial_port import SerialLimits, SerialLine
from edge.claim import Way
from tests.fixtures.peers_serial import Adapter, adapter, packet
from tests.fixtures.peers_tcp import LATER, Site, clock, run, until

LINE, STX, NEDAP = Framing(Shape.LINE, frame_bytes=500), Framing(Shape.STX_ETX), Framing(Shape.NEDAP)
QUICK = SerialLimits(between_s=0.2, write_s=1, hold_s=0.02, stop_s=5, backoff=Backoff(0.01, 0.02))


@contextlib.asynccontextmanager
async def source(
    site: Site, adapter_: Adapter, framing: Framing, limits: SerialLimits = QUICK, quiet_s: float | None = None
) -> AsyncIterator[SerialLines]:
    line = SerialLine("s", str(adapter_.path), framing, quiet_s=quiet_s)
    lines = await open_serial_line([line], limits, site.receive, site, clock)
    try:
        yield lines
    finally:
        await lines.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("serial_line")]


def test_template_lines_split_anywhere(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site()
        with adapter(tmp_path) as reader:
            async with source(site, reader, LINE) as lines:
                await until(lambda: site.links == [("s", "up")], "it is open")
                for piece in (b"TE57", b"ABC\r", b"\nTE57ABD\r\nTE5"):
                    reader.send(piece)
                await until(lambda: len(site.deliveries) == 2, "two lines")
                reader.send(b"7ABE\r\n")
                await until(lambda: len(site.deliveries) == 3, "three lines")
                assert lines.counts() == {}
        assert site.bodies == [b"TE57ABC", b"TE57ABD", b"TE57ABE"]
        arrival = site.deliveries[0].arrival
        assert (arrival.way, arrival.camera, arrival.address) == (Way.SERIAL_LINE, "s", str(reader.path))
        assert site.deliveries[0].content_type == "text/plain"

    run(scene())


def test_a_packet_is_acknowledged_when_it_is_taken_and_not_before(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"ACK", gate=asyncio.Event(), verdicts=[LATER])
        assert site.gate is not None
        with adapter(tmp_path) as reader:
            async with source(site, reader, NEDAP):
                await until(lambda: site.links, "it is open")
                reader.send(packet(1, b"TE57ABC"))
                await until(lambda: site.deliveries, "it is in hand")
                await asyncio.sleep(0.1)
                assert reader.listen() == b""
                site.gate.set()
                await until(lambda: reader.listen() == b"ACK", "it is acknowledged, once")
        assert site.bodies == [packet(1, b"TE57ABC")] * 2

    run(scene())


def test_a_packet_with_a_wrong_sum_is_not_acknowledged_and_costs_no_other(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"K")
        with adapter(tmp_path) as reader:
            async with source(site, reader, NEDAP) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(packet(1, b"x", wrong=4) + packet(2, b"y") + b"noise" + packet(3, b"z"))
                await until(lambda: reader.listen() == b"KK", "the good ones are acknowledged")
                assert lines.refused() == {"garbage": 2}
        assert site.bodies == [packet(2, b"y"), packet(3, b"z")]

    run(scene())


def test_half_a_packet_is_given_up_and_what_is_behind_it_heard(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"K")
        with adapter(tmp_path) as reader:
            async with source(site, reader, NEDAP) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(packet(1, b"x" * 400)[:90] + packet(2, b"y"))
                await until(lambda: reader.listen() == b"K", "the one inside the other's length")
                assert lines.refused() == {"garbage": 1}
        assert site.bodies == [packet(2, b"y")]

    run(scene())


def test_the_adapter_is_pulled_and_put_back(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"K")
        with adapter(tmp_path) as reader:
            async with source(site, reader, STX) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(b"\x02one\x03\x02half")
                await until(lambda: reader.listen() == b"K", "heard")
                reader.pull()
                await until(lambda: ("s", "no_device") in site.links, "it is gone")
                reader.put()
                await until(lambda: site.links[-1] == ("s", "up"), "it is back")
                reader.send(b"way\x03\x02two\x03")
                await until(lambda: len(site.deliveries) == 2, "heard again")
                assert lines.counts()["cut_off"] == 1
        assert site.bodies == [b"\x02one\x03", b"\x02two\x03"]
        assert site.links == [("s", "up"), ("s", "cut"), ("s", "no_device"), ("s", "up")]

    run(scene())


def test_no_answer_goes_to_a_device_that_was_opened_since(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"K", gate=asyncio.Event())
        assert site.gate is not None
        with adapter(tmp_path) as reader:
            async with source(site, reader, STX) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(b"\x02one\x03")
                await until(lambda: site.deliveries, "in hand")
                reader.pull()
                reader.put()
                await asyncio.sleep(0.2)  # the loop is told nothing of it while the delivery is in hand
                site.gate.set()
                await until(lambda: lines.counts().get("cut"), "it was pulled")
                await until(lambda: site.links[-1] == ("s", "up"), "it is back")
                reader.send(b"\x02two\x03")
                await until(lambda: reader.listen() == b"K", "the second is answered")
                await asyncio.sleep(0.1)
                assert reader.listen() == b"K", "and the first is not"

    run(scene())


def test_a_device_that_is_not_there_yet_or_no_device(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site()
        reader = Adapter(tmp_path / "reader")
        async with source(site, reader, LINE) as lines:
            await until(lambda: lines.counts().get("no_device", 0) >= 2, "it is looked for")
            reader.path.write_text("no device")
            await until(lambda: ("s", "refused") in site.links, "a file is none")
            reader.put()
            await until(lambda: site.links[-1] == ("s", "up"), "it is there")
            reader.send(b"TE57ABC\r\n")
            await until(lambda: site.deliveries, "and heard")
        reader.pull()
        assert site.links == [("s", "no_device"), ("s", "refused"), ("s", "up")]

    run(scene())


def test_a_line_that_falls_silent_is_told_and_heard_again(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site()
        with adapter(tmp_path) as reader:
            async with source(site, reader, LINE, quiet_s=0.1):
                await until(lambda: site.links == [("s", "up"), ("s", "quiet")], "it is silent")
                reader.send(b"TE57ABC\r\n")
                await until(lambda: site.links[:3] == [("s", "up"), ("s", "quiet"), ("s", "up")], "it speaks")
        assert site.bodies == [b"TE57ABC"]

    run(scene())


def test_no_more_is_read_than_the_backlog(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        assert site.gate is not None
        with adapter(tmp_path) as reader:
            async with source(site, reader, LINE, replace(QUICK, backlog_bytes=2000)) as lines:
                await until(lambda: site.links, "it is open")
                sent, told_s = 0, time.monotonic()
                while time.monotonic() - told_s < 0.5:
                    count = reader.send(b"TE57ABC\r\n" * 20)
                    sent, told_s = sent + count, time.monotonic() if count else told_s
                    await asyncio.sleep(0.001)
                assert sent < 2 * 2000 + 64 * 1024, "the backlog and the kernel's buffer"
                assert lines.refused() == {"overrun": lines.counts()["overrun"]}
                site.gate.set()
                await until(lambda: len(site.deliveries) >= sent // 9 - 1, "and all of it is heard")

    run(scene())


def test_a_line_that_never_ends_is_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site()
        with adapter(tmp_path) as reader:
            async with source(site, reader, LINE) as lines:
                await until(lambda: site.links, "it is open")
                for _ in range(20):
                    await until(lambda: reader.send(b"x" * 1000), "there is room")
                await until(lambda: lines.refused().get("garbage"), "it is garbage")
                await until(lambda: reader.send(b"\r\nTE57ABC\r\n"), "there is room")
                await until(lambda: site.deliveries, "the next line is heard")
        assert site.bodies == [b"TE57ABC"]

    run(scene())


def test_a_stop_lets_what_is_in_hand_finish_and_be_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(answer=b"K", gate=asyncio.Event())
        assert site.gate is not None
        with adapter(tmp_path) as reader:
            async with source(site, reader, STX) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(b"\x02one\x03")
                await until(lambda: site.deliveries, "in hand")
                closing = asyncio.create_task(lines.close())
                await asyncio.sleep(0.05)
                assert not closing.done()
                site.gate.set()
                await closing
                assert reader.listen() == b"K"

    run(scene())


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        with adapter(tmp_path) as reader:
            async with source(site, reader, STX, replace(QUICK, stop_s=0.2)) as lines:
                await until(lambda: site.links, "it is open")
                reader.send(b"\x02one\x03")
                await until(lambda: site.deliveries, "in hand")
                began = time.monotonic()
                await lines.close()
                assert time.monotonic() - began < 1.5

    run(scene())


@pytest.mark.parametrize("fault", [RuntimeError("ours"), TimeoutError("ours"), ConnectionError("ours")])
def test_a_fault_of_ours_is_raised(tmp_path: Path, fault: Exception) -> None:
    async def scene() -> None:
        site = Site(answer=b"K", fault=fault)
        with adapter(tmp_path) as reader:
            async with source(site, reader, STX) as lines:
                watch = asyncio.create_task(lines.failed())
                await until(lambda: site.links, "it is open")
                reader.send(b"\x02one\x03")
                with pytest.raises(type(fault), match="ours"):
                    await watch
                assert reader.listen() == b""

    run(scene())
