"""`anpr-edge quarantine`: what an engineer sees without the key, and with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from capture.delivery import Delivery
from capture.quarantine import FOLDER, keep
from edge.__main__ import main

Make = Callable[..., Any]
KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW_MS = 1_767_225_600_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / "cameras.d").mkdir(parents=True)
    (folder / "config.toml").write_text(
        f"""
[node]
operator = "example"
site = "site-1"
node = "node-1"
[paths]
state = "{tmp_path / "state"}"
[capture.http_push]
listen = "127.0.0.1:0"
[uplink]
broker = "broker.example:1883"
tls = false
[keys]
sign = "sign.pem"
seal_to = "seal.pem"
receipts_from = "receipts.pem"
"""
    )
    (folder / "cameras.d" / "cam-north.toml").write_text(
        """
id = "cam-north"
dialect = "generic"
addresses = ["192.0.2.10"]
zone = "Europe/London"
[authorisation]
reference = "A"
first_day = 2026-01-01
last_day = 2026-12-31
"""
    )
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "engineers.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


@pytest.fixture
def kept(config: Path, tmp_path: Path, make_arrival: Make) -> list[str]:
    (tmp_path / "state").mkdir()
    bodies = [b'{"number": "TE57 ABC"}', b'{"plate": "TE57 ABC"}']
    return [
        keep(
            tmp_path / "state" / FOLDER,
            KEY.public_key(),
            Delivery(make_arrival(NOW_MS + n), "application/json", "", body),
            "cam-north",
            "no_plate",
        ).id
        for n, body in enumerate(bodies)
    ]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_list_shows_no_plate(config: Path, kept: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quarantine", "list", "--config", str(config)]) == 0
    text = said(capsys)
    assert "cam-north" in text
    assert "no_plate" in text
    assert "TE57" not in text
    assert main(["quarantine", "list", "--config", str(config), "--json"]) == 0
    told = [json.loads(line) for line in said(capsys).splitlines()]
    assert [each["id"] for each in told] == kept
    assert told[0]["at"] == "2026-01-01T00:00:00Z"


def test_what_was_sent_is_shown_with_the_key_alone(
    config: Path, key: Path, kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "show", kept[0], "--config", str(config)]) == 78
    assert main(["quarantine", "show", kept[0], "--config", str(config), "--key", str(key)]) == 0
    assert '"number": "TE57 ABC"' in said(capsys)
    other = key.with_name("other.pem")
    other.write_bytes(X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    other.chmod(0o600)
    assert main(["quarantine", "show", kept[0], "--config", str(config), "--key", str(other)]) == 65
    key.chmod(0o644)
    assert main(["quarantine", "show", kept[0], "--config", str(config), "--key", str(key)]) == 78


def test_replay_says_what_the_camera_as_configured_now_makes_of_it(
    config: Path, key: Path, kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "replay", "--config", str(config), "--key", str(key), "--json"]) == 65
    told = [json.loads(line) for line in said(capsys).splitlines()]
    assert [each.get("refused") for each in told] == ["no_plate", None]
    assert told[1]["reads"] == 1
    with (config / "cameras.d" / "cam-north.toml").open("a") as file:
        file.write('[mapping]\nplate = "number"\n')
    assert main(["quarantine", "replay", kept[0], "--config", str(config), "--key", str(key)]) == 0
    text = said(capsys)
    assert "now understood: 1 reads" in text
    assert "TE57" not in text


def test_cleared_is_gone_and_an_unknown_id_is_named(
    config: Path, kept: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "clear", "1-0", "--config", str(config)]) == 78
    assert main(["quarantine", "clear", kept[0], "--config", str(config)]) == 0
    assert "1 removed" in said(capsys)
    assert main(["quarantine", "list", "--config", str(config), "--json"]) == 0
    assert [json.loads(line)["id"] for line in said(capsys).splitlines()] == [kept[1]]
    assert main(["quarantine", "clear", "--config", str(config)]) == 0
    assert main(["quarantine", "list", "--config", str(config)]) == 0
    assert "nothing is in quarantine" in said(capsys)
