"""Nedap: lines, packets and their acknowledgement, tags against the vendor's table, damage, and answers."""

from __future__ import annotations

import csv
from datetime import datetime
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Literal

import pytest

from capture.delivery import Delivery
from capture.dialects import nedap
from capture.dialects.nedap import Nedap
from capture.framing import Framing, Shape
from edge.claim import Box, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise
from tests.fixtures.trials import PAYLOADS, VERDICTS, claims, life, payload, picture, read, reason, sent, survives

DIALECT = Nedap()
FRAME = picture(1200, 800)
Order = Literal["big", "little"]
ORDERS: tuple[Order, Order] = ("big", "little")


def line(body: bytes, way: Way = Way.SERIAL_LINE) -> Delivery:
    return sent(body, way=way)


def packet(data: bytes, number: int = 7, order: Order = "big") -> bytes:
    head = b"".join(n.to_bytes(4, order) for n in (0x89ABCDEF, number, len(data))) + data
    return head + bytes([reduce(xor, head, 0)]) + (0x12345678).to_bytes(4, order)


def tagged(fields: dict[int, bytes | int], order: Order = "little", error: int = 0) -> Delivery:
    data = b""
    for tag, value in fields.items():
        raw = value.to_bytes(4, order, signed=True) if isinstance(value, int) else value
        data += tag.to_bytes(4, order) + len(raw).to_bytes(4, order) + raw + b"\0" * (-len(raw) % 4)
    head = b"".join(n.to_bytes(4, order) for n in (24, 40000, 0, 0, error, len(data)))
    return sent(head + data, way=Way.TCP_STREAM)


FIELDS: dict[int, bytes | int] = {
    14000: b"2026-03-02\0\0",
    14001: b"08-15-30".ljust(16, b"\0"),
    14002: b"NEDAP_ANPR1".ljust(32, b"\0"),
    14003: b"46HVR9-NLD".ljust(24, b"\0"),
    14004: b"46HVR9\0and what was there before",
    14005: b"NLD\0",
    14009: 711,
    14010: 400,
    14011: 300,
    14012: 600,
    14013: 360,
    14017: 5279330,
    14020: FRAME,
    14022: 88,
}


@pytest.mark.parametrize(
    ("said", "plate", "heard"),
    [
        (b"46HVR9-NLD\r\n", "46HVR9", Heard(country="NLD")),
        (b"46HVR9\r\n", "46HVR9", Heard()),
        (b"READ 46HVR9-NLD\r\n", "46HVR9", Heard(country="NLD")),
        (b"READ;46HVR9", "46HVR9", Heard()),
        (b"LCR 46HVR9-NLD", "46HVR9", Heard(confidence="LCR", country="NLD")),
        (b"WRONG DIR 46HVR9-NLD\r\n", "46HVR9", Heard(direction="WRONG DIR", country="NLD")),
        (b"WRONG DIR", "", Heard(direction="WRONG DIR")),
        (b"LCR", "", Heard(confidence="LCR")),
        (b"NOREAD\r\n", "NOREAD", Heard()),
        (b"TE57-ABC", "TE57-ABC", Heard()),  # ABC is no country
        ("ÄB 123-DEU".encode(), "ÄB 123", Heard(country="DEU")),
        ("ÄB 123".encode("latin-1"), "ÄB 123", Heard()),
    ],
)
def test_lines_and_packets_of_the_same_template(said: bytes, plate: str, heard: Heard) -> None:
    for delivery in (line(said), line(packet(said)), line(packet(said, order="little"))):
        (item,) = DIALECT.understand(delivery)
        assert isinstance(item, RawRead)
        assert (item.plate_heard, item.heard, item.country) == (plate, heard, heard.country)
        assert (item.confidence, item.direction, item.time, item.vendor_id, item.images) == (None, None, None, None, ())


def test_noread_is_a_vehicle_without_a_read() -> None:
    assert normalise(read(DIALECT, line(b"NOREAD\r\n")).plate_heard) is None


@pytest.mark.parametrize("order", ORDERS)
def test_a_message_with_tags(order: Order) -> None:
    assert read(DIALECT, tagged(FIELDS, order)) == RawRead(
        dialect="nedap",
        dialect_version=1,
        camera_identity="5279330",
        vendor_id="2026-03-02T08-15-30-711",
        plate_heard="46HVR9",
        confidence=88,
        country="NLD",
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30),
        time_heard="2026-03-02 08-15-30",
        images=(RawImage(Role.OVERVIEW, FRAME, Box(400, 300, 200, 60)),),
        heard=Heard(country="NLD"),
    )


def test_the_plate_with_its_country_is_taken_apart() -> None:
    item = read(DIALECT, tagged({14003: b"46HVR9-NLD".ljust(24, b"\0"), 14020: FRAME}))
    assert (item.plate_heard, item.country, item.vendor_id, item.time) == ("46HVR9", "NLD", None, None)
    assert item.images == (RawImage(Role.OVERVIEW, FRAME),)
    for wrong in (-5, 900_000, 300):  # left of 400
        changed = read(DIALECT, tagged(FIELDS | {14012: wrong}))
        assert changed.images[0].plate_box is None


def test_an_unread_vehicle_and_an_error() -> None:
    item = read(DIALECT, tagged({14004: b"\0" * 20, 14022: 0}))
    assert (item.plate_heard, item.confidence) == ("", None)
    assert life(DIALECT, tagged(FIELDS, error=3)) == SignOfLife(Life.OTHER_EVENT, "error", "5279330")


def test_the_tags_are_those_of_the_vendors_table() -> None:
    table = payload("nedap", "tcp_tag_ids.tsv").decode().splitlines()
    numbers = {row["TAG"]: int(row["TAG-ID"]) for row in csv.DictReader(table, delimiter="\t")}
    assert numbers["%DATE"] == nedap._DATE
    assert numbers["%TIME"] == nedap._TIME
    assert numbers["%PLATE"] == nedap._FULL
    assert numbers["%PLATE_STRING"] == nedap._STRING
    assert numbers["%PLATE_COUNTRY"] == nedap._COUNTRY
    assert numbers["%TRANSIT_ID"] == nedap._TRANSIT
    assert tuple(numbers[f"%PLATE_{end}"] for end in ("MIN_X", "MIN_Y", "MAX_X", "MAX_Y")) == nedap._CORNERS
    assert numbers["%SN"] == nedap._SERIAL
    assert numbers["%IMAGE_BW"] == nedap._PICTURE
    assert numbers["%OCRSCORE"] == nedap._SCORE
    examples = {row["TAG"]: row["EXAMPLE"] or "" for row in csv.DictReader(table, delimiter="\t")}
    item = read(
        DIALECT,
        tagged({numbers[tag]: examples[tag].encode() + b"\0" for tag in ("%DATE", "%TIME", "%PLATE")}),
    )
    assert (item.plate_heard, item.country, item.time) == ("46HVR9", "NLD", datetime(2011, 7, 28, 12, 34, 56))


def test_the_packet_is_the_one_of_the_vendors_manual() -> None:
    told = payload("nedap", "rs485_protocolled_packet.txt").decode()
    assert "0x89ABCDEF 4 Open" in told
    assert "Xor of all previous bytes" in told
    assert "0x12345678 4 Close" in told
    # data of the example template, as the manual writes it: %PLATE%0x0D%0x0A
    whole = bytes.fromhex("89ABCDEF 00000001 0000000C") + b"46HVR9-NLD\r\n"
    whole += bytes([reduce(xor, whole, 0)]) + bytes.fromhex("12345678")
    assert whole == packet(b"46HVR9-NLD\r\n", 1)
    assert read(DIALECT, line(whole)).plate_heard == "46HVR9"


def test_the_pages_of_its_manual_are_told_to_be_its_own_and_are_no_deliveries() -> None:
    found = claims(DIALECT)
    assert {Path(each).name for each in found} == {"rs485_protocolled_packet.txt", "tcp_tag_ids.tsv"}
    for each in found:
        with pytest.raises(Refused):
            DIALECT.understand(sent((PAYLOADS / each).read_bytes()))


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    assert DIALECT.answer(verdict, sent(b"46HVR9\r\n")).status == status
    for quiet in (line(b"46HVR9"), tagged(FIELDS), line(packet(b"46HVR9"), Way.TCP_STREAM), line(packet(b"a")[:-1])):
        assert (DIALECT.answer(verdict, quiet).status, DIALECT.answer(verdict, quiet).body) == (status, b"")
    for order in ORDERS:
        # What is not on disk is not acknowledged: the camera sends it again.
        expected = packet(b"", 7, order) if status == 200 else b""
        assert DIALECT.answer(verdict, line(packet(b"46HVR9\r\n", 7, order))).body == expected


def test_what_the_framing_of_a_serial_line_hands_on_is_understood() -> None:
    framer = Framing(Shape.NEDAP).framer()
    whole = packet(b"46HVR9-NLD\r\n", 5)
    (frame,) = [*framer.feed(b"\x00noise" + whole[:9]), *framer.feed(whole[9:])]
    assert read(DIALECT, line(frame)).plate_heard == "46HVR9"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no_plate"),
        (b"\r\n", "no_plate"),
        (b"READ\r\n", "no_plate"),
        (b"2026-03-02;46HVR9", "template_unknown"),
        (b"GET / HTTP/1.1 and much more than a plate", "template_unknown"),
        (b"46HVR9\r\n46HVR9", "template_unknown"),
        (b"A" * 257, "too_large"),
        (packet(b"46HVR9")[:-1], "bad_packet"),
        (packet(b"46HVR9")[:-1] + b"\x00", "bad_packet"),
        (packet(b"46HVR9").replace(b"46", b"47"), "bad_checksum"),
        (tagged(FIELDS).body[:-1], "bad_packet"),
        (tagged({14004: b"46HVR9\0\0"}).body.replace(b"\x08\0\0\0", b"\xff\0\0\0"), "bad_packet"),
        (tagged(dict.fromkeys(range(70), b"")).body, "bad_packet"),
        (tagged({14000: b"2026-03-02\0\0"}).body, "no_plate"),
    ],
)
def test_what_is_refused(body: bytes, why: str) -> None:
    assert reason(DIALECT, line(body)) == why


def test_damaged_deliveries_are_understood_or_refused() -> None:
    small = tagged(FIELDS | {14020: picture(60, 40)})
    survives(DIALECT, [line(b"WRONG DIR 46HVR9-NLD\r\n"), line(packet(b"46HVR9-NLD\r\n")), small])
