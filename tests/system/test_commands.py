"""The commands as scripts use them: exit codes, `--json`, and nothing but text in what is piped."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from PIL import Image
from whole_site import ROOT, Site, until

FIXTURES = ROOT / "tests" / "fixtures"
READ_MEMBERS = (
    *("kind", "plate", "plate_heard", "confidence", "captured_at", "time_source", "camera_identity"),
    *("direction", "lane", "country", "vendor_id", "revises", "images"),
)


def ran(site: Site, *arguments: str, config: bool = True) -> subprocess.CompletedProcess[str]:
    """The command at its end. Piped as it is here, nothing may be coloured or drawn, whatever the terminal is."""
    done = site.command(*arguments, verb_config=config, TERM="xterm-256color", COLORTERM="truecolor")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def said(site: Site, code: int, *arguments: str, config: bool = True) -> Any:
    """What the command says with `--json`, one document; it must end with this code."""
    done = ran(site, *arguments, "--json", config=config)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site of which nothing runs. Tests that change it copy it first."""
    with Site(tmp_path_factory.mktemp("configured")) as site:
        yield site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that runs, and has had three reads of each camera."""
    with Site(tmp_path_factory.mktemp("served")) as site:
        site.start_all()
        cameras = [site.start_camera(each, "--reads", "3", "--rate", "6") for each in site.mounted]
        for camera in cameras:
            assert camera.process.wait() == 0
        stored = set().union(*(camera.stored() for camera in cameras))
        until("every read", lambda: stored <= site.held().keys())
        until("every receipt", lambda: site.ledger_rows("SELECT waiting FROM totals") == [(0,)])
        yield site


# configuration and keys


def test_config_check_finds_nothing_in_a_sound_folder(configured: Site) -> None:
    assert said(configured, 0, "config", "check") == []


def test_config_check_says_file_line_and_key(configured: Site, tmp_path: Path) -> None:
    folder = shutil.copytree(configured.folders.config, tmp_path / "config")
    with (folder / "config.toml").open("a") as file:
        file.write("hearbeat_s = 5\n")
    lines = (folder / "config.toml").read_text().count("\n")
    (problem,) = said(configured, 78, "config", "check", "--config", str(folder), config=False)
    assert problem.keys() == {"file", "line", "key", "problem"}
    assert (problem["file"], problem["line"], problem["key"]) == ("config.toml", lines, "health.hearbeat_s")
    started = ran(configured, "run", "--config", str(folder), config=False)
    assert started.returncode == 78
    assert "hearbeat_s" in started.stderr
    (only,) = said(configured, 2, "doctor", "--config", str(folder), config=False)
    assert (only["id"], only["level"]) == ("config", "bad")
    assert f"config.toml:{lines}" in only["sentence"]


def test_config_show_names_each_values_file(configured: Site) -> None:
    shown = {each["key"]: each for each in said(configured, 0, "config", "show", "--origin")}
    assert shown["health.heartbeat_s"]["value"] == 5
    assert re.fullmatch(r"config\.toml:\d+", shown["health.heartbeat_s"]["origin"])
    assert shown["ledger.max_bytes"]["origin"].startswith("defaults.toml:")
    plain = ran(configured, "config", "show", "--origin").stdout
    assert re.search(r"^health\.heartbeat_s +5 +config\.toml:\d+$", plain, re.MULTILINE)


def test_config_schema_describes_what_may_be_written(configured: Site) -> None:
    schema = said(configured, 0, "config", "schema")
    assert {"node", "paths", "capture", "uplink", "keys"} <= schema["properties"].keys()


def test_keys_init_makes_a_key_once(configured: Site, tmp_path: Path) -> None:
    folder = shutil.copytree(configured.folders.config, tmp_path / "config")
    private = folder / "keys" / "sign.pem"
    private.unlink()
    made = said(configured, 0, "keys", "init", "--config", str(folder), config=False)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    public = load_pem_public_key(Path(made["public"]).read_bytes())
    assert isinstance(public, Ed25519PublicKey)
    assert made["kid"] == hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]
    before = private.read_bytes()
    again = ran(configured, "keys", "init", "--config", str(folder), config=False)
    assert again.returncode == 78
    assert private.read_bytes() == before
    shown = ran(configured, "keys", "show", "--config", str(folder), "--json", config=False)
    assert json.loads(shown.stdout)["sign"]["kid"] == made["kid"]
    secret = "".join(before.decode().splitlines()[1:-1])
    assert secret not in shown.stdout + again.stderr


# pictures and deliveries


def delivery(name: str, folder: Path) -> tuple[Path, list[str]]:
    """A captured request as a file of its body, and what `decode` has to be told of its head."""
    head, _, body = (FIXTURES / name).read_bytes().partition(b"\r\n\r\n")
    declared = re.search(rb"^Content-Type: (.*?)\r?$", head, re.MULTILINE | re.IGNORECASE)
    file = folder / "delivery"
    file.write_bytes(body)
    return file, ["--content-type", declared[1].decode() if declared else ""]


@pytest.mark.parametrize("name", ["hikvision/push_boundary_word.http", "generic/read_full.http"])
def test_decode_tells_a_read(configured: Site, tmp_path: Path, name: str) -> None:
    file, told = delivery(name, tmp_path)
    heard = said(configured, 0, "decode", *told, str(file), config=False)
    assert heard.keys() >= set(READ_MEMBERS)
    assert (heard["kind"], heard["dialect"]) == ("read", name.partition("/")[0])
    assert heard["plate"] == heard["plate_heard"].replace(" ", "").upper()
    assert heard["images"]
    assert all(image.keys() >= {"role", "format", "bytes", "width", "height"} for image in heard["images"])
    plain = ran(configured, "decode", *told, str(file), config=False)
    assert plain.returncode == 0
    assert heard["plate"] not in plain.stdout + plain.stderr, "a plate only where a flag asks for it"


def test_decode_says_why_it_refuses(configured: Site, tmp_path: Path) -> None:
    file, told = delivery("hikvision/dtd.http", tmp_path)
    heard = said(configured, 65, "decode", "--dialect", "hikvision", *told, str(file), config=False)
    assert heard["kind"] == "refused"
    assert re.fullmatch(r"[a-z_]+", heard["reason"])


def test_fit_brings_a_picture_under_its_cap(configured: Site, tmp_path: Path) -> None:
    file, out = tmp_path / "scene.jpg", tmp_path / "out"
    Image.effect_noise((1280, 720), 60).convert("RGB").save(file, "JPEG", quality=92)
    fitted = said(configured, 0, "fit", "overview", str(file), "--out", str(out), config=False)
    written = (out / "scene.jpg").read_bytes()
    assert fitted["file"] == str(file)
    assert fitted["in"] == {"format": "jpeg", "width": 1280, "height": 720, "bytes": file.stat().st_size}
    assert fitted["out"]["bytes"] == len(written) <= 25_000
    assert Image.open(io.BytesIO(written)).size == (fitted["out"]["width"], fitted["out"]["height"])
    assert fitted["encodes"] >= 1
    assert set(fitted["action"]) <= {"kept", "stripped", "cropped", "resized", "recompressed"}
    box = ("--box", "600,400,130,40")
    patch = said(configured, 0, "fit", "plate_patch", str(file), *box, config=False)["out"]
    assert patch["width"] <= 120
    assert patch["height"] <= 60
    assert patch["bytes"] <= 3000


def test_fit_shows_an_overview_before_and_after_its_surround_is_altered(configured: Site, tmp_path: Path) -> None:
    file, out = tmp_path / "scene.jpg", tmp_path / "out"
    Image.effect_noise((1280, 720), 60).convert("RGB").save(file, "JPEG", quality=92)
    arguments = ("fit", "overview", str(file), "--box", "600,500,90,30", "--surround", "mask", "--out", str(out))
    fitted = said(configured, 0, *arguments, config=False)
    assert fitted["action"][0] == "masked"
    assert fitted["surround"]["box"] == "given"
    assert fitted["measures"]["plate_width_px"] == 90
    before, after = (
        Image.open(io.BytesIO((out / name).read_bytes())).convert("L") for name in ("scene.before.jpg", "scene.jpg")
    )
    assert after.size == (fitted["out"]["width"], fitted["out"]["height"])
    assert {after.getpixel((3, 3)), after.getpixel((9, 3))} == {128}
    assert before.crop((0, 0, 40, 40)).getextrema()[1] > 180
    plain = said(configured, 0, "fit", "overview", str(file), "--out", str(out), config=False)
    assert "surround" not in plain


def test_fit_refuses_what_is_no_picture(configured: Site, tmp_path: Path) -> None:
    (tmp_path / "not.jpg").write_bytes(b"\xff\xd8\xff nothing that a picture is made of")
    refused = said(configured, 65, "fit", "overview", str(tmp_path / "not.jpg"), config=False)
    assert re.fullmatch(r"[a-z_]+", refused["refused"])


# the service


def test_status_of_a_running_node(served: Site) -> None:
    def stored() -> set[int]:
        return {camera["reads"]["stored"] for camera in said(served, 0, "status")["cameras"].values()}

    until("a status newer than the reads", lambda: stored() == {3})
    shown = said(served, 0, "status")
    assert shown["running"] is True
    assert shown["state"] in ("ready", "degraded")
    assert shown.keys() >= {"cameras", "buffer", "uplink", "clock", "alerts"}
    assert shown["uplink"]["up"] is True
    screen = ran(served, "status")
    assert screen.returncode == 0
    assert re.search(r"^lane-1 +up ", screen.stdout, re.MULTILINE)


def levels(answers: list[dict[str, Any]]) -> dict[str, str]:
    assert all(each.keys() >= {"id", "level", "sentence", "hint", "depends_on"} for each in answers)
    assert all(each["hint"] for each in answers if each["level"] in ("poor", "bad"))
    return {each["id"]: each["level"] for each in answers}


def test_doctor_of_a_running_node(served: Site) -> None:
    """Poor and no worse: the uplink of a test is not encrypted, and its clock may be set by nobody."""
    found = levels(said(served, 1, "doctor"))
    assert {name for name, level in found.items() if level != "good"} <= {"clock", "tls"}
    assert found["tls"] == "poor"
    some = levels(said(served, 0, "doctor", "broker", "keys"))
    assert (some["keys"], some["broker"]) == ("good", "good")
    assert "door" not in some
    assert "not encrypted" in ran(served, "doctor").stdout


def test_doctor_with_the_broker_down_and_status_when_killed(make_site: Callable[..., Site]) -> None:
    site = make_site(cameras=1)
    node = site.start_node()
    found = levels(said(site, 2, "doctor", "service", "broker", "tls", "mqtt", "receipts"))
    expected = {"service": "good", "broker": "bad", "tls": "unknown", "mqtt": "unknown", "receipts": "unknown"}
    assert found.items() >= expected.items()
    node.kill()
    assert said(site, 0, "status")["running"] is False  # at once: its process is gone
    word = site.runtime / "status.json"
    last = json.loads(word.read_text())
    word.write_text(json.dumps(last | {"at_ms": last["at_ms"] - 60_000}))  # a minute later
    shown = said(site, 0, "status")
    assert (shown["running"], shown["state"]) == (False, "stopped")
    assert shown["age_s"] >= 60
    assert shown["last_said"]["session"] == 1
    assert shown["buffer"]["records"] == 1
    assert "not running" in ran(site, "status").stdout


def test_verify_says_up_to_where_and_finds_a_flipped_byte(make_site: Callable[..., Site]) -> None:
    site = make_site(cameras=1)
    node = site.start_node()
    camera = site.start_camera(site.mounted[0], "--reads", "4", "--rate", "8", "--unread", "0")
    assert camera.process.wait() == 0
    assert node.stop() == 0
    sound = said(site, 0, "verify")
    assert (sound["sound"], sound["first_problem"]) == (True, None)
    assert sound["records"] == 10  # started, four reads with their overviews, stopped
    assert sound["sound_to"] == "session 1, record 10"
    assert said(site, 0, "status")["buffer"]["records"] == 10

    ((begins,),) = site.ledger_rows("SELECT data FROM records WHERE row = ?", (1 << 40) + 6)
    ledger = site.node_state / "ledger.sqlite3"
    data = bytearray(ledger.read_bytes())
    assert data.count(begins[:64]) == 1
    data[data.index(begins[:64]) + 50] ^= 1
    ledger.write_bytes(data)
    broken = said(site, 65, "verify")
    assert broken["sound"] is False
    assert broken["sound_to"] == "session 1, record 5"
    assert broken["first_problem"].startswith("session 1, record 6: ")
    assert levels(said(site, 2, "doctor", "ledger"))["ledger"] == "bad"


def test_verify_of_a_record_from_the_store(served: Site, tmp_path: Path) -> None:
    ((signed,),) = served.store_rows(
        "SELECT signed FROM evidence JOIN records ON id = record WHERE kind = 'read' LIMIT 1"
    )
    (tmp_path / "record").write_bytes(signed)
    assert said(served, 0, "verify", str(tmp_path / "record"))["sound"] is True
    (tmp_path / "record").write_bytes(signed[:-1] + bytes([signed[-1] ^ 1]))
    found = said(served, 65, "verify", str(tmp_path / "record"))
    assert found["sound"] is False
    assert found["first_problem"]


# usage


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("bogus",),
        ("fit", "portrait", "x.jpg"),
        ("fit", "overview", "x", "--box", "1"),
        ("fit", "overview", "x", "--surround", "blur"),
        ("fit", "overview", "x", "--sigma", "2"),
        ("fit", "overview", "x", "--surround", "soften", "--sigma", "90"),
        ("fit", "plate_patch", "x", "--surround", "mask"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_64(configured: Site, arguments: tuple[str, ...]) -> None:
    done = ran(configured, *arguments, config=False)
    assert done.returncode == 64
    assert done.stdout == ""
    assert done.stderr.startswith("usage: anpr-edge")


def test_a_check_that_there_is_not_ends_with_64(configured: Site) -> None:
    assert ran(configured, "doctor", "bogus").returncode == 64


def test_a_folder_that_there_is_not_ends_with_78(configured: Site, tmp_path: Path) -> None:
    done = ran(configured, "status", "--config", str(tmp_path / "nothing"), config=False)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) <= 3
