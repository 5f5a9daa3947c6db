"""The one door: who is heard at all, in which dialect, how much at once, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import date
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from capture.delivery import Answer, Delivery, InHand, plain
from capture.dialects import dialect_named
from capture.rates import Rates
from capture.receive import Bounds, Dialect, Receiver
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import Arrival, ClockState, Life, Outcome, RawRead, Received, SignOfLife, Verdict

HEARD = Verdict(Outcome.HEARD)
STORED = Verdict(Outcome.STORED)
XML = (
    b"<EventNotificationAlert><eventType>ANPR</eventType><licensePlate>AB12CDE</licensePlate></EventNotificationAlert>"
)
JSON = b'{"plate": "AB12CDE"}'


def camera(name: str, dialect: str = "generic", network: str = "192.0.2.7/32", path: str | None = None) -> Camera:
    return Camera(
        id=name,
        dialect=dialect,
        networks=(ip_network(network),),
        identity=None,
        path=path,
        lane=None,
        zone=ZoneInfo("UTC"),
        time=TimePolicy.ARRIVAL,
        plausible_past_s=1,
        plausible_future_s=1,
        keep_unread=True,
        position=None,
        authorisation=Authorisation("ref", date(2020, 1, 1), date(2040, 1, 1)),
    )


def delivery(body: bytes = JSON, address: str = "192.0.2.7", path: str = "/x", content_type: str = "") -> Delivery:
    received = Received(1_772_439_330_000, 20, ClockState.SYNCHRONISED, 1, "boot")
    return Delivery(Arrival(received, address, path), content_type, "", body)


class Site:
    """A working intake that keeps what it is told; `gate`, where set, holds back every accept."""

    def __init__(self, *verdicts: Verdict) -> None:
        self.verdicts = list(verdicts)
        self.reads: list[RawRead] = []
        self.lives: list[SignOfLife] = []
        self.reasons: list[str] = []
        self.aside: list[tuple[str, str]] = []
        self.gate: asyncio.Event | None = None

    async def accept(self, raw: RawRead, arrival: Arrival) -> Verdict:
        if self.gate is not None:
            await self.gate.wait()
        self.reads.append(raw)
        return self.verdicts.pop(0) if self.verdicts else STORED

    def heard(self, life: SignOfLife, arrival: Arrival) -> None:
        self.lives.append(life)

    def refused(self, reason: str, arrival: Arrival) -> None:
        self.reasons.append(reason)

    def set_aside(self, delivery: Delivery, camera: Camera, reason: str) -> None:
        self.aside.append((camera.id, reason))

    def receiver(self, cameras: list[Camera], dialects: dict[str, Dialect] | None = None, **limits: int) -> Receiver:
        spoken = dialects or {c.id: dialect_named(c.dialect) for c in cameras}
        return Receiver(cameras, spoken, self, Bounds(**limits), self.set_aside)


def run(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    return asyncio.run(coroutine)


class Broken:
    """A dialect with a fault that hostile bytes reach."""

    name, version = "broken", 1

    def recognises(self, delivery: Delivery) -> bool:
        return True

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        raise KeyError(delivery.body)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        return plain(verdict)


class Poll(Broken):
    """A dialect that says nothing, without a fault."""

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        return ()


def test_a_known_camera_is_stored() -> None:
    site = Site()
    assert run(site.receiver([camera("a")]).receive(delivery())).status == 200
    assert [r.plate_heard for r in site.reads] == ["AB12CDE"]
    assert site.reasons == []


@pytest.mark.parametrize(("address", "path"), [("192.0.2.8", "/a"), ("192.0.2.7", "/b"), ("", "/a")])
def test_an_unknown_source_is_not_decoded(address: str, path: str) -> None:
    site = Site()
    receiver = site.receiver([camera("a", path="/a")], {"a": Broken()})
    answer = run(receiver.receive(delivery(address=address, path=path)))
    assert (answer.status, site.reasons, site.reads) == (403, ["unknown_source"], [])
    assert answer.content_type.startswith("text/plain")


def test_which_addresses_are_known() -> None:
    receiver = Site().receiver([camera("a", path="/a"), camera("b", network="2001:db8::/64")])
    assert receiver.knows("192.0.2.7")
    assert receiver.knows("::ffff:192.0.2.7")
    assert receiver.knows("2001:db8::5")
    assert not receiver.knows("192.0.2.8")
    assert not receiver.knows("")


def test_cameras_behind_one_address_are_told_apart_by_path_or_by_what_they_say() -> None:
    cameras = [camera("h", "hikvision"), camera("g", "generic")]
    for body, status, dialect in ((XML, 200, "hikvision"), (JSON, 200, "generic"), (b"hello", 400, None)):
        site = Site()
        assert run(site.receiver(cameras).receive(delivery(body))).status == status
        assert [r.dialect for r in site.reads] == ([dialect] if dialect else [])
        assert site.reasons == ([] if dialect else ["unrecognised"])
    site = Site()
    cameras = [camera("h", "hikvision", path="/h"), camera("g", "generic", path="/g")]
    assert run(site.receiver(cameras).receive(delivery(JSON, path="/h"))).status == 400
    assert site.reasons == ["not_hikvision"]


def test_a_fault_in_a_dialect_is_a_refusal_and_counted() -> None:
    for size in (10, 200_000):  # in the loop, and in a thread
        site = Site()
        answer = run(site.receiver([camera("a")], {"a": Broken()}).receive(delivery(b"x" * size)))
        assert (answer.status, site.reasons) == (400, ["undecodable"])


def test_a_large_delivery_is_understood_like_a_small_one() -> None:
    site = Site()
    assert run(site.receiver([camera("a")]).receive(delivery(JSON + b" " * 200_000))).status == 200
    assert len(site.reads) == 1


def test_a_sign_of_life_and_an_empty_answer_are_heard() -> None:
    site = Site()
    assert run(site.receiver([camera("a")]).receive(delivery(b'{"kind":"heartbeat"}'))).status == 200
    assert run(site.receiver([camera("a")], {"a": Poll()}).receive(delivery())).status == 200
    assert [life.life for life in site.lives] == [Life.HEARTBEAT, Life.OTHER_EVENT]
    assert site.reads == []


@pytest.mark.parametrize(
    ("verdicts", "status", "accepted"),
    [
        ([Verdict(Outcome.STORED), Verdict(Outcome.REFUSED, "vrm_too_long")], 400, 2),
        ([Verdict(Outcome.REFUSED, "vrm_too_long"), Verdict(Outcome.STORED)], 400, 2),
        ([Verdict(Outcome.STORED), Verdict(Outcome.LATER, "no_room")], 503, 2),
        ([Verdict(Outcome.LATER, "no_room"), Verdict(Outcome.STORED)], 503, 1),
        ([Verdict(Outcome.REFUSED, "x"), Verdict(Outcome.LATER, "no_room")], 503, 2),
        ([Verdict(Outcome.REPEATED), Verdict(Outcome.STORED)], 200, 2),
        ([Verdict(Outcome.REFUSED, "authorisation_expired"), Verdict(Outcome.DROPPED)], 403, 2),
    ],
)
def test_the_worst_verdict_answers(verdicts: list[Verdict], status: int, accepted: int) -> None:
    plate = b"<Plate><plateNumber>AB12CDE</plateNumber></Plate>"
    site = Site(*verdicts)
    answer = run(site.receiver([camera("a", "hikvision")]).receive(delivery(b"<Plates>" + plate * 2 + b"</Plates>")))
    assert (answer.status, len(site.reads)) == (status, accepted)


@pytest.mark.parametrize(("limits", "served"), [({"in_hand": 3}, 3), ({"in_hand_bytes": 2 * len(JSON)}, 2)])
def test_more_than_fits_is_told_later_without_decoding(limits: dict[str, int], served: int) -> None:
    async def scene() -> tuple[list[int], int]:
        site = Site()
        site.gate = asyncio.Event()
        receiver = site.receiver([camera("a")], **limits)
        held = [asyncio.create_task(receiver.receive(delivery())) for _ in range(served)]
        await asyncio.sleep(0)
        late = await receiver.receive(delivery())
        assert b"busy" in late.body
        site.gate.set()
        statuses = [answer.status for answer in await asyncio.gather(*held)]
        again = await receiver.receive(delivery())
        assert again.status == 200, "room is given back"
        return [late.status, *statuses], len(site.reads)

    assert asyncio.run(scene()) == ([503] + [200] * served, served + 1)


def test_a_fault_of_ours_is_not_swallowed_and_room_is_given_back() -> None:
    class Faulty(Site):
        async def accept(self, raw: RawRead, arrival: Arrival) -> Verdict:
            raise RuntimeError("ours")

    async def scene() -> None:
        receiver = Faulty().receiver([camera("a")], in_hand=1)
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await receiver.receive(delivery())

    asyncio.run(scene())


def test_one_source_has_no_more_than_its_share() -> None:
    async def scene() -> None:
        site = Site()
        site.gate = asyncio.Event()
        receiver = site.receiver([camera("a"), camera("b", network="192.0.2.8/32")], in_hand=16, of_one=2)
        held = [asyncio.create_task(receiver.receive(delivery())) for _ in range(5)]
        await asyncio.sleep(0)
        assert [task.done() for task in held] == [False, False, True, True, True]
        assert {(await task).status for task in held[2:]} == {503}
        other = asyncio.create_task(receiver.receive(delivery(address="192.0.2.8")))
        await asyncio.sleep(0)
        site.gate.set()
        assert (await other).status == 200
        assert {(await task).status for task in held[:2]} == {200}

    asyncio.run(scene())


def test_one_source_comes_no_oftener_than_its_rate_and_another_is_not_held_back() -> None:
    async def scene() -> None:
        site = Site()
        receiver = site.receiver([camera("a"), camera("b", network="192.0.2.8/32")], burst=3, per_s=2)
        answers = [await receiver.receive(delivery()) for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 503, 503]
        assert b"too_often" in answers[-1].body
        assert (await receiver.receive(delivery(address="192.0.2.8"))).status == 200

    asyncio.run(scene())


def test_a_bucket_fills_again_at_its_rate_and_no_higher() -> None:
    rates = Rates(per_s=2, burst=3)
    assert [rates.allows("a", 0) for _ in range(4)] == [True, True, True, False]
    assert not rates.allows("a", 499_000_000)
    assert rates.allows("a", 500_000_000)
    assert [rates.allows("a", 10**12) for _ in range(4)] == [True, True, True, False]
    assert not rates.allows("a", 0), "a clock that goes back fills nothing"
    for n in range(1000):
        rates.allows(f"s{n}", 0)
    assert len(rates._buckets) == 256


def test_what_a_known_camera_said_and_nobody_understood_is_set_aside() -> None:
    site = Site()
    receiver = site.receiver([camera("a")])
    run(receiver.receive(delivery(b"{")))
    run(receiver.receive(delivery(b"{", address="192.0.2.9")))
    assert site.aside == [("a", "json_malformed")]
    assert site.reasons == ["json_malformed", "unknown_source"]


def test_what_was_said_before_is_no_read() -> None:
    site = Site()
    answer = run(site.receiver([camera("a")]).receive(replace(delivery(), replayed=True)))
    assert answer.verdict == Verdict(Outcome.HEARD)
    assert not site.reads
    assert [life.what for life in site.lives] == ["replayed"]


def test_in_hand_counts_both_ways() -> None:
    held = InHand(2, 10)
    assert held.take(4)
    assert held.take(6)
    assert not held.take(0)
    held.give(6)
    assert held.grow(6)
    assert not held.grow(1)
    assert not held.take(1)
    held.give(10)
    assert (held.held, held.held_bytes) == (0, 0)
