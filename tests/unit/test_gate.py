"""Passwords of cameras that push: Basic and Digest, and what must not get in."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from capture.gate import NONCE_FOR_S, REALM, Asked, Gate, Scheme
from capture.login import Login

LOGIN = Login("north", "p:a ss")
GATE = Gate({"basic": (LOGIN, Scheme.BASIC), "digest": (LOGIN, Scheme.DIGEST)}, b"secret")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def nonce_of(challenge: str) -> str:
    return re.findall(r'nonce="([^"]+)"', challenge)[0]


def digest(
    nonce: str, algorithm: str = "MD5", *, qop: bool = True, uri: str = "/anpr?x=1", login: Login = LOGIN
) -> str:
    """As RFC 7616, 3.4 has it, written out once more."""

    def h(text: str) -> str:
        return hashlib.new("sha256" if algorithm == "SHA-256" else "md5", text.encode()).hexdigest()

    a1, a2 = h(f"{login.user}:{REALM}:{login.password}"), h(f"POST:{uri}")
    response = h(f"{a1}:{nonce}:00000001:abc:auth:{a2}" if qop else f"{a1}:{nonce}:{a2}")
    more = ', qop=auth, nc=00000001, cnonce="abc"' if qop else ""
    return (
        f'Digest username="{login.user}", realm="{REALM}", nonce="{nonce}", uri="{uri}", '
        f'response="{response}", algorithm={algorithm}{more}'
    )


def asked(header: str, target: str = "/anpr?x=1") -> Asked:
    return Asked("POST", target, header)


@pytest.mark.parametrize("header", [basic("north:p:a ss"), basic("north:p:a ss").replace("Basic", "basic")])
def test_the_right_basic_password_is_let_in(header: str) -> None:
    assert GATE.named(["digest", "basic"], asked(header), 0) == "basic"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !",
        basic("north:wrong"),
        basic("south:p:a ss"),
        basic("north"),
        "Bearer x",
        "Basic " + "A" * 9999,
    ],
)
def test_a_wrong_one_is_not(header: str) -> None:
    assert GATE.named(["basic"], asked(header), 0) is None


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [True, False])
def test_the_right_digest_is_let_in_while_its_nonce_is_fresh(algorithm: str, qop: bool) -> None:
    nonce = nonce_of(GATE.challenges(["digest"], asked(""), 1000)[0])
    header = digest(nonce, algorithm, qop=qop)
    assert GATE.named(["digest"], asked(header), 1000 + NONCE_FOR_S) == "digest"
    assert GATE.named(["digest"], asked(header), 1001 + NONCE_FOR_S) is None
    assert GATE.named(["digest"], asked(header), 999) is None
    assert "stale=true" in GATE.challenges(["digest"], asked(header), 1001 + NONCE_FOR_S)[0]
    assert "stale" not in GATE.challenges(["digest"], asked(""), 1001 + NONCE_FOR_S)[0]


def test_a_digest_for_another_path_a_made_up_nonce_or_a_wrong_password_is_not() -> None:
    nonce = nonce_of(GATE.challenges(["digest"], asked(""), 5)[0])
    assert GATE.named(["digest"], asked(digest(nonce, uri="/anpr")), 5) == "digest", "some leave out the query"
    assert GATE.named(["digest"], asked(digest(nonce, uri="/other")), 5) is None
    assert GATE.named(["digest"], asked(digest("5-" + "0" * 32)), 5) is None
    assert GATE.named(["digest"], asked(digest("")), 5) is None
    assert GATE.named(["digest"], asked(digest(nonce, login=Login("north", "wrong"))), 5) is None
    assert GATE.named(["digest"], asked(digest(nonce, login=Login("south", "p:a ss"))), 5) is None
    assert GATE.named(["digest"], asked(digest(nonce).replace("algorithm=MD5", "algorithm=MD4")), 5) is None
    assert GATE.named(["digest"], asked(digest(nonce).replace("qop=auth", "qop=auth-int")), 5) is None
    assert GATE.named(["digest"], asked(basic("north:p:a ss")), 5) is None, "not where Digest is asked for"


def test_another_process_makes_other_nonces() -> None:
    nonce = nonce_of(Gate(GATE.logins, b"another").challenges(["digest"], asked(""), 5)[0])
    assert GATE.named(["digest"], asked(digest(nonce)), 5) is None


def test_who_is_asked() -> None:
    assert GATE.asks(["basic", "digest"])
    assert not GATE.asks(["basic", "open"])
    assert not GATE.asks([])
    assert [c.split(" ")[0] for c in GATE.challenges(["basic", "digest"], asked(""), 5)] == [
        "Digest",
        "Digest",
        "Basic",
    ]


def test_neither_name_nor_password_is_shown() -> None:
    shown = (
        repr(GATE)
        + repr(LOGIN)
        + repr(asked(basic("north:p:a ss")))
        + "".join(GATE.challenges(["basic"], asked(""), 5))
    )
    assert "north" not in shown
    assert "p:a ss" not in shown
