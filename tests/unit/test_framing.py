"""Frames do not depend on how bytes were split, garbage costs no frame behind it, and nothing is held without a bound.

Also what is made of frames: deliveries out of stream parts, signatures out of challenges, requests out of recipes.
"""

from __future__ import annotations

import random
import re
import time
from functools import reduce
from operator import xor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.digest import Challenge, Digest, challenges, signed
from capture.framer import Framer
from capture.framing import Framing, Shape
from capture.grouping import Group, Groups
from capture.login import Login
from capture.multipart import parts
from capture.recipes import RECIPES, Poll, Stream, recipe_named
from capture.stream_parts import StreamParts
from edge.errors import Misconfigured

PAYLOADS = Path(__file__).resolve().parents[2] / "../shared/payloads"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 3 + b"\r\n--x\r\n\xff\xd9"

TAG = Framing(Shape.CLOSING_TAG, ("root", "Msg", "MESSAGE", "CAR_PLATE"), 4096)
JSON = Framing(Shape.JSON, frame_bytes=4096)
LINE = Framing(Shape.LINE, frame_bytes=200)
STX = Framing(Shape.STX_ETX, frame_bytes=200)
NEDAP = Framing(Shape.NEDAP, frame_bytes=4096)


def nedap(number: int, data: bytes, *, wrong: int = 0) -> bytes:
    body = bytes.fromhex("89ABCDEF") + number.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data
    return body + bytes([reduce(xor, body) ^ wrong]) + bytes.fromhex("12345678")


def turned(number: int, data: bytes) -> bytes:
    """The same from a reader whose numbers have their low byte first."""
    body = bytes.fromhex("EFCDAB89") + number.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data
    return body + bytes([reduce(xor, body)]) + bytes.fromhex("78563412")


def multipart(boundary: bytes = b"b", end: bytes = b"\r\n") -> Framer:
    return StreamParts("multipart/x-mixed-replace; boundary=" + boundary.decode(), 4096)


class Case:
    """A stream and what must come out of it. `garbage`: how many stretches are thrown away."""

    def __init__(self, framing: Framing | str, stream: bytes, frames: list[bytes], garbage: int = 0) -> None:
        self.framing, self.stream, self.frames, self.garbage = framing, stream, frames, garbage

    def framer(self) -> Framer:
        return self.framing.framer() if isinstance(self.framing, Framing) else StreamParts(self.framing, 4096)


A, B = b"<root><PLATE>TE57ABC</PLATE></root>", b"<root a='>'>\xc3\xa9</root >"
PLATE = b'<CAR_PLATE number="TE57 > ABC" x=\'"/>\' />'
OBJECT = '{"plate":"TE\\"}{57","n":{"a":[1,{"b":"\\\\"}],"t":"é{"},"e":{}}'.encode()
PRETTY = b'{\n\t"a": [\n{\n"x": "Astra G_SILVER.jpg"\n},\n{}\n]\n}'
TEXT = b"Content-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc"

CASES = {
    "tags back to back": Case(TAG, A + B + A, [A, B, A]),
    "tags with declarations": Case(
        TAG,
        b'<?xml version="1.0" encoding="ISO-8859-1"?>\r\n' + A + b"\r\n\0" + A,
        [b'<?xml version="1.0" encoding="ISO-8859-1"?>\r\n' + A, A],
    ),
    "tags of all names": Case(
        TAG,
        b"<n:Msg/><MESSAGE>1</MESSAGE>" + PLATE + b"<CAR_PLATE></CAR_PLATE>",
        [b"<n:Msg/>", b"<MESSAGE>1</MESSAGE>", PLATE, b"<CAR_PLATE></CAR_PLATE>"],
    ),
    "a tag is a whole name": Case(
        TAG, b"<rooty>x</rooty>" + A + b"<root><roots></roots></root>", [A, b"<root><roots></roots></root>"], 1
    ),
    "an element is cut off by the next": Case(
        TAG, b"<root><PLATE>TE5" + b"<?xml version='1.0'?>" + A, [b"<?xml version='1.0'?>" + A], 1
    ),
    "a tag is cut off by the next": Case(TAG, b'<CAR_PLATE number="TE' + PLATE + b"junk" + PLATE, [PLATE, PLATE], 2),
    "an element too large": Case(TAG, A + b"<root>" + b"x" * 6000 + b"</root>" + A, [A, A], 1),
    "a browser": Case(TAG, b"GET / HTTP/1.1\r\nHost: n\r\n\r\n" + b"z" * 9000 + A, [A], 1),
    "objects back to back": Case(
        JSON, OBJECT + OBJECT + b"\r\n" + PRETTY + b"," + b"{}", [OBJECT, OBJECT, PRETTY, b"{}"]
    ),
    "objects in an array": Case(JSON, b"[" + OBJECT + b",\n" + OBJECT + b"]", [OBJECT, OBJECT]),
    "an object is cut off in a string": Case(JSON, b'{"a":"TE57\n' + OBJECT, [OBJECT], 1),
    "an object is cut off between members": Case(JSON, b'{"a":1,' + OBJECT, [OBJECT], 1),
    "an object is cut off behind a value": Case(JSON, b'{"a":{"b":2}' + OBJECT + OBJECT, [OBJECT, OBJECT], 1),
    "brackets that do not match": Case(JSON, b'{"a":[1}' + OBJECT, [OBJECT], 1),
    "an object too deep": Case(
        JSON, b'{"a":' * 100 + b"1" + b"}" * 100 + OBJECT, [b'{"a":' * 35 + b"1" + b"}" * 35, OBJECT], 2
    ),
    "an object too large": Case(JSON, OBJECT + b'{"a":"' + b"x" * 6000 + b'"}' + OBJECT, [OBJECT, OBJECT], 1),
    "a browser and an object": Case(JSON, b"GET / HTTP/1.1\r\n\r\n" + OBJECT, [OBJECT], 1),
    "a line feed inside a string is borne": Case(JSON, b'{"a":"AAAA\nBBBB"}', [b'{"a":"AAAA\nBBBB"}']),
    "lines": Case(LINE, b"TE57ABC\r\n\r\nTE57ABD\nTE57ABE\r\0\0\r\n", [b"TE57ABC", b"TE57ABD", b"TE57ABE"]),
    "a line too long": Case(
        LINE, b"a" * 200 + b"\n" + b"x" * 201 + b"\r\n" + b"y" * 900 + b"\nTE57ABC\r\n", [b"a" * 200, b"TE57ABC"], 1
    ),
    "stx and etx": Case(
        STX, b"\x02one\x03\r\n\x02\x03noise\x02two\x03", [b"\x02one\x03", b"\x02\x03", b"\x02two\x03"], 1
    ),
    "stx again": Case(
        STX, b"\x02on\x02two\x03" + b"\x02" + b"x" * 300 + b"\x02three\x03", [b"\x02two\x03", b"\x02three\x03"], 2
    ),
    "packets": Case(
        NEDAP, nedap(1, b"TE57ABC\r\n") + b"\r\n" + nedap(2, b""), [nedap(1, b"TE57ABC\r\n"), nedap(2, b"")]
    ),
    "a packet holds a packet's codes": Case(
        NEDAP, nedap(1, bytes.fromhex("89ABCDEF12345678")), [nedap(1, bytes.fromhex("89ABCDEF12345678"))]
    ),
    "packets the other way round": Case(NEDAP, turned(7, b"abc") + nedap(8, b"x"), [turned(7, b"abc"), nedap(8, b"x")]),
    "a packet with a wrong sum": Case(NEDAP, nedap(1, b"x", wrong=1) + nedap(2, b"y"), [nedap(2, b"y")], 1),
    "a packet with a huge length": Case(
        NEDAP, bytes.fromhex("89ABCDEF00000001FFFFFFFF") + nedap(2, b"y"), [nedap(2, b"y")], 1
    ),
    "a packet without its end": Case(
        NEDAP,
        nedap(1, b"x")[:-4] + b"zzzz" + nedap(2, b"y") + b"zz" + nedap(3, b""),
        [nedap(2, b"y"), nedap(3, b"")],
        2,
    ),
    "parts": Case(
        "multipart/mixed; boundary=b",
        b"--b\r\n" + TEXT + b"\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n--b\r\n",
        [TEXT, b"Content-Type: image/jpeg\r\n\r\n" + JPEG],
    ),
    "parts with line feeds": Case(
        'multipart/mixed; boundary="b"', b"\n--b\nA: 1\n\nx\n--b\n\ny\n--b \n", [b"A: 1\n\nx", b"\ny"]
    ),
    "lengths that are wrong": Case(
        "multipart/mixed; boundary=b",
        b"--b\r\nContent-Length: 1\r\n\r\nabc\r\n--b\r\nContent-Length: 99\r\n\r\nabc"
        b"\r\n--b\r\nContent-Length: 0\r\n\r\nx\r\n--b\r\n",
        [b"Content-Length: 1\r\n\r\nabc", b"Content-Length: 99\r\n\r\nabc", b"Content-Length: 0\r\n\r\nx"],
    ),
    "headers again without a blank line": Case(
        "multipart/mixed; boundary=b", b"--b\r\nA: 1\r\n--b\r\nA: 1\r\n\r\nx\r\n--b\r\n--b\r\n", [b"A: 1\r\n\r\nx"]
    ),
    "another boundary than announced": Case(
        "multipart/mixed; boundary=--b", b"junk\r\n--b\r\n\r\nx\r\n--b\r\n", [b"\r\nx"], 1
    ),
    "no boundary announced": Case(
        "", b"--mine\r\n\r\n--min\r\n--mine2\r\n--mine\r\n\r\ny\r\n--mine\r\n", [b"\r\n--min\r\n--mine2", b"\r\ny"]
    ),
    "a part too large": Case(
        "multipart/mixed; boundary=b", b"--b\r\n\r\n" + b"x" * 9000 + b"\r\n--b\r\n\r\ny\r\n--b\r\n", [b"\r\ny"], 1
    ),
    "a line that was no boundary": Case(
        "multipart/mixed; boundary=b", b"--z\r\n" + b"x" * 9000 + b"\r\n--b\r\n\r\ny\r\n--b\r\n", [b"\r\ny"], 1
    ),
    "closed and begun again": Case(
        "multipart/mixed; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n\r\n--b\r\n\r\ny\r\n--b--\r\n", [b"\r\nx", b"\r\ny"]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_comes_out(case: Case) -> None:
    framer = case.framer()
    assert framer.feed(case.stream) == case.frames
    assert framer.garbage == case.garbage


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same(case: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(case.stream)), max_size=12)))
    assert_same(case.framer, case.stream, cuts)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_byte_at_a_time_gives_the_same(case: Case) -> None:
    assert_same(case.framer, case.stream, list(range(1, len(case.stream))))


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_split_of_streams_with_faults_gives_the_same(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(list(CASES.values())))
    pieces = re.findall(rb"(?s).{1,7}", case.stream[:600])
    broken = data.draw(st.permutations(pieces)) if data.draw(st.booleans()) else pieces
    at = data.draw(st.integers(0, len(broken)))
    stream = b"".join([*broken[:at], data.draw(st.binary(max_size=6)), *broken[at:]]) + case.stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    assert_same(case.framer, stream, cuts)


def assert_same(make: object, stream: bytes, cuts: list[int]) -> None:
    whole, split = make(), make()  # type: ignore[operator]
    expected = whole.feed(stream)
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in split.feed(piece)] == expected
    assert split.garbage == whole.garbage


@pytest.mark.parametrize("framing", [TAG, JSON, LINE, STX, NEDAP], ids=lambda f: f.shape.value)
@pytest.mark.parametrize(
    "unit", [b"x", b"<root ", b"<root>", b'{"', b"{", b"[", b"\x02", b"\x89\xab\xcd\xef", b"\\", b"\n", b"--", b'"']
)
def test_nothing_is_held_without_a_bound_nor_takes_longer_than_its_bytes(framing: Framing, unit: bytes) -> None:
    framer = framing.framer()
    piece = (unit * 4096)[:4096]
    began = time.perf_counter()
    for _ in range(256):
        framer.feed(piece)
        assert framer.held_bytes <= 4096 + 4096 + 512
    assert time.perf_counter() - began < 5, "1 MiB"


def test_a_stream_of_parts_is_bounded_too() -> None:
    for opening in (b"", b"--b\r\n", b"--b\r\nA: 1\r\n\r\n"):
        for unit in (b"x", b"\r\n--b", b"\r\n--", b"\n"):
            framer = multipart()
            framer.feed(opening)
            for _ in range(64):
                framer.feed(unit * 1024)
                assert framer.held_bytes <= 4096 + 4096 + 512


def test_a_message_that_ends_no_more_is_given_up_and_what_is_behind_it_found() -> None:
    packets = NEDAP.framer()
    assert packets.feed(bytes.fromhex("89ABCDEF0000000100000800") + nedap(2, b"y")) == []
    assert packets.pending
    assert packets.give_up() == [nedap(2, b"y")]
    assert not packets.pending
    assert packets.garbage == 1
    lines = LINE.framer()
    assert lines.feed(b"TE57") == []
    assert lines.give_up() == []
    assert not lines.pending
    assert lines.feed(b"TE57ABC\n") == [b"TE57ABC"]


def test_a_framing_that_cannot_be_is_the_operators() -> None:
    for shape, roots in ((Shape.CLOSING_TAG, ()), (Shape.CLOSING_TAG, ("a b",)), (Shape.LINE, ("root",))):
        with pytest.raises(Misconfigured):
            Framing(shape, roots)


def test_the_public_samples() -> None:
    if not PAYLOADS.is_dir():
        pytest.skip("the public payloads are not beside the repository")
    shapes = (PAYLOADS / "dahua/eventmanager_mixed_header_shapes.bin").read_bytes()
    groups = Groups("multipart/x-mixed-replace; boundary=myboundary")
    done = groups.feed(shapes) + groups.quiet()
    bodies = [part.data for group in done for part in parts(group.body, group.content_type)]
    assert [body.split(b";")[0].strip() for body in bodies] == [
        b"Code=VideoMotion",
        b"Code=CrossLineDetection",
        b"Heartbeat",
    ]
    lilin = Groups("multipart/x-mixed-replace; boundary=myboundary")
    assert lilin.feed((PAYLOADS / "lilin/getalarmmotion_stream.txt").read_bytes() + b"\n--myboundary\n") == []
    (group,) = lilin.quiet()
    assert b"CamTime:2018-04-10 14:24:08" in group.body
    assert b"LPR0=647CBA" in parts(group.body, group.content_type)[0].data
    umlaut = (PAYLOADS / "axis/alpv_tcp_new_with_ImageArray_umlaut.json").read_bytes()
    assert Framing(Shape.JSON).framer().feed(umlaut * 3) == [umlaut.strip()] * 3


# Parts into deliveries.

HEAD = "multipart/x-mixed-replace; boundary=b"
PICTURE = b"Content-Type: image/jpeg\r\n\r\n" + JPEG


def stream_of(*said: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in said) + b"--b\r\n"


def held_in(group: Group) -> list[bytes]:
    return [part.data for part in parts(group.body, group.content_type)]


@given(st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_text_and_the_pictures_behind_it_are_one_delivery(cuts: list[int]) -> None:
    stream = stream_of(TEXT, PICTURE, b"\r\n" + JPEG, b"A: 1\r\n\r\nHeartbeat", TEXT)
    groups, done = Groups(HEAD), []
    at = 0
    for cut in [*sorted(cuts), len(stream)]:
        done += groups.feed(stream[at:cut])
        at = max(at, cut)
    assert [held_in(group) for group in done] == [[b"abc", JPEG, JPEG], [b"Heartbeat"]]
    assert [held_in(group) for group in groups.quiet()] == [[b"abc"]]
    assert groups.quiet() == groups.end() == []
    assert b"Content-Length: 3" in done[0].body, "headers are kept as they were"


def test_silence_ends_a_delivery_only_where_nothing_is_on_its_way() -> None:
    groups = Groups(HEAD)
    picture = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(JPEG) + JPEG
    assert groups.feed(b"--b\r\n" + TEXT + b"\r\n--b\r\n" + picture[:90]) == []
    assert groups.quiet() == [], "the picture is still coming"
    assert groups.feed(picture[90:]) == []
    (group,) = groups.quiet()
    assert held_in(group) == [b"abc", JPEG], "its length is believed once the stream is silent"
    assert groups.feed(b"\r\n--b\r\n" + TEXT) == []
    assert [held_in(group) for group in groups.quiet()] == [[b"abc"]]
    assert groups.feed(b" and more\r\n--b\r\n" + TEXT + b"\r\n--b\r\n") == []
    assert groups.told() == {"garbage": 1}
    assert groups.told() == {}


def test_a_length_of_nothing_is_no_length() -> None:
    groups = Groups(HEAD)
    assert groups.feed(b"--b\r\n" + TEXT + b"\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Length: 0\r\n\r\n") == []
    assert groups.quiet() == []
    (group,) = groups.feed(JPEG + b"\r\n--b\r\n" + TEXT + b"\r\n--b\r\n")
    assert held_in(group) == [b"abc", JPEG]


def test_the_end_of_a_stream_leaves_no_half_picture() -> None:
    for cut_off in (PICTURE[:-9], b"Content-Type: image/jpeg\r\nContent-Length: 99999\r\n\r\n" + JPEG, b"Content-Ty"):
        groups = Groups(HEAD)
        assert groups.feed(b"--b\r\n" + TEXT + b"\r\n--b\r\n" + cut_off) == []
        assert [held_in(group) for group in groups.end()] == [[b"abc"]]
        assert groups.told() == {"garbage": 1}
    groups = Groups(HEAD)
    groups.feed(b"--b\r\nContent-Type: text/plain\r\n\r\nCode=TrafficJunction")
    assert [held_in(group) for group in groups.end()] == [[b"Code=TrafficJunction"]]


def test_pictures_without_a_text_and_too_many_are_left_out() -> None:
    groups = Groups(HEAD, delivery_bytes=5000)
    done = groups.feed(stream_of(PICTURE, TEXT, *[PICTURE] * 9, TEXT))
    assert [len(held_in(group)) for group in done] == [7]
    assert groups.told() == {"left_out": 4}


# Signatures.

MUFASA = Login("Mufasa", "Circle of Life")


def test_the_vectors_of_rfc_7616_and_2617() -> None:
    header = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",'
        ' Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5,'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    sha, md5 = challenges(header)
    assert "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1" in signed(
        sha, MUFASA, "GET", "/dir/index.html", b"", 1, cnonce
    )
    assert 'response="8ca523f5e9506fed4657c9700eebdbec"' in signed(
        md5, MUFASA, "GET", "/dir/index.html", b"", 1, cnonce
    )
    old = Challenge(
        "testrealm@host.com", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "5ccc069c403ebaf9f0171e9517f40e41", "", "auth"
    )
    line = signed(old, Login("Mufasa", "Circle Of Life"), "GET", "/dir/index.html", b"", 1, "0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in line
    assert "algorithm" not in line
    assert "qop=auth, nc=00000001, cnonce=" in line
    assert repr(MUFASA) == "Login()"


def test_the_best_of_several_challenges_is_answered_and_the_count_rises() -> None:
    digest = Digest(Login("admin", 'p"w'), lambda: "c")
    assert digest.authorization("GET", "/") is None
    assert not digest.learn(['Basic realm="x"', 'Digest realm="x", nonce="n", algorithm=NEW'])
    assert digest.authorization("GET", "/") is None
    offered = ['Basic realm="x"', 'Digest qop="auth", realm="DS(1)", nonce="n1", stale=FALSE, algorithm="MD5"']
    assert digest.learn(offered)
    assert digest.learn(offered), "the same again, because the device forgot"
    counts = [re.findall("nc=([0-9a-f]{8})", digest.authorization("GET", "/") or "") for _ in range(3)]
    assert digest.learn(['Digest realm="x", nonce="n2", qop="auth"'])
    counts.append(re.findall("nc=([0-9a-f]{8})", digest.authorization("GET", "/") or ""))
    assert digest.learn(offered)
    counts.append(re.findall("nc=([0-9a-f]{8})", digest.authorization("GET", "/") or ""))
    assert counts == [["00000001"], ["00000002"], ["00000003"], ["00000001"], ["00000004"]]


def test_hostile_challenges_do_no_harm() -> None:
    seed = random.Random(7616)
    for _ in range(2000):
        header = "".join(
            seed.choice(["Digest ", 'nonce="', "\\", '"', ",", "=", "qop", "realm=a", " ", "é", "\0"])
            for _ in range(30)
        )
        digest = Digest(MUFASA, lambda: "c")
        if digest.learn([header]):
            assert "\n" not in (digest.authorization("GET", "/x") or "")


# Recipes.


def test_every_recipe_asks_the_camera_itself() -> None:
    for name in RECIPES:
        recipe = recipe_named(name, 2)
        target = recipe.target if isinstance(recipe, Stream) else recipe.request(recipe.first).target
        assert target.startswith("/"), name
        assert not re.search(r"[\s#]", target), name
    with pytest.raises(Misconfigured):
        recipe_named("nobody")


def poll_named(name: str) -> Poll:
    recipe = recipe_named(name)
    assert isinstance(recipe, Poll)
    return recipe


def test_hikvision_plates_are_cut_one_by_one_with_their_pictures() -> None:
    poll = poll_named("hikvision_plates")
    assert poll.request("0").body == b"<AfterTime><picTime>0</picTime></AfterTime>"
    plate = b"<Plate><captureTime>20260424T1616%02d0000</captureTime><picName>p%d</picName></Plate>"
    body = b'junk<?xml version="1.0"?><Plates xmlns="u">\n' + plate % (59, 2) + plate % (1, 1) + b"\n</Plates>"
    two, one = poll.cut(body)
    assert two.body == b'<?xml version="1.0"?><Plates xmlns="u">\n' + plate % (59, 2) + b"\n</Plates>"
    assert [picture.target for picture in one.pictures] == ["/doc/ui/images/plate/p1.jpg"]
    assert [each.mark for each in poll.cut(body)] == [two.mark, one.mark]
    assert poll.cursor(body, "0") == "20260424161659"
    assert poll.cursor(b"<Plates/>", "20260424161659") == "20260424161659"
    assert list(poll.cut(b"<Plates/>")) == []
    (odd,) = poll.cut(b"<Plates><Plate><picName>a b/../&quot;?#</picName></Plate></Plates>")
    assert odd.pictures[0].target == "/doc/ui/images/plate/a%20b/../%22?%23.jpg"


def test_milesight_reads_are_the_same_under_another_number() -> None:
    poll = poll_named("milesight_last")
    listed = "time_{0}=2026-04-28 17:22:02\nplate_{0}=TE57ABC\npath_{0}=2026/a b.jpg\n"
    first = list(poll.cut(listed.format(1).encode()))
    later = list(poll.cut(("time_1=2026-04-28 17:23:00\nplate_1=TE57ABD\n" + listed.format(2)).encode()))
    assert first[0].mark == later[1].mark != later[0].mark
    assert first[0].pictures[0].target == "/LPR/2026/a%20b.jpg"
    assert later[0].pictures == ()
    assert later[1].body == listed.format(2).encode()


def test_axis_events_go_back_over_what_may_be_listed_late() -> None:
    poll = poll_named("axis_search")
    kept = b"\n tools.cgi?action=getImage &amp; name=53/1_Astra G.jpg "
    event = b"<event><LPR>TE57ABC</LPR><LP_BMP>" + kept + b"</LP_BMP><ROI_BMP /></event>"
    body = b"<events><currentTimestampUs>1702306482677809</currentTimestampUs>" + event + b"</events>"
    assert poll.request("5").target == "/local/fflprapp/search.cgi?TimestampFrom=5"
    assert poll.cursor(body, "0") == str(1702306482677809 - 60_000_000)
    assert poll.cursor(b"<events/>", "7") == "7"
    (one,) = poll.cut(body)
    assert one.pictures[0].target == "/local/fflprapp/tools.cgi?action=getImage&name=53/1_Astra%20G.jpg"
    assert one.pictures[0].name == "1_Astra G.jpg"


def test_answers_made_to_hurt_do_not() -> None:
    began = time.perf_counter()
    for name in ("hikvision_plates", "axis_search", "milesight_last"):
        poll = poll_named(name)
        for body in (
            b"<Plate>" * 200_000,
            b"<event " * 200_000,
            b"a_1=" * 200_000,
            b"<Plate></Plate>" * 100_000,
            b"<" * 1_000_000,
        ):
            assert sum(len(each.body) for each in poll.cut(body)) <= 40 * 1024 * 1024
            poll.cursor(body, poll.first)
    assert time.perf_counter() - began < 20
