"""The settings: what they refuse and where they say it is, what may not be raised, and that the manual is true."""

import datetime
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.camera import AuthorisationState
from edge.errors import Misconfigured
from firmware_config.authorise import authorisation, cameras
from firmware_config.documents import Problem
from firmware_config.explain import camera_json_schema, camera_reference, json_schema, reference, show
from firmware_config.fields import comparison_key, host_port
from firmware_config.layers import defaults
from firmware_config.load import load, problems
from firmware_config.model import Authorisation, Camera, LoweredCaps, Settings
from firmware_config.origins import KeyPath, Origin, dotted, key_lines, line_of
from firmware_config.problems import all_keys
from firmware_config.profile import Caps, in_force, load_profile, profile_names

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

CONFIG = """\
[node]
operator = "example"
site = "site-1"
node = "node-1"

[capture.http_push]
listen = "127.0.0.1:0"

[uplink]
broker = "broker.example:8883"
ca = "tls/ca.pem"
certificate = "tls/node.pem"
key = "tls/node.key"

[keys]
sign = "keys/sign.key"
seal_to = "keys/seal.pub"
receipts_from = "keys/receipts.pub"
"""
CAMERA = """\
id = "lane-1"
dialect = "hikvision"
addresses = ["192.0.2.20", "2001:db8::/64"]
zone = "Europe/London"

[authorisation]
reference = "DPIA-1"
first_day = 2026-01-01
last_day = 2026-12-31
"""
FILES = ("tls/ca.pem", "tls/node.pem", "tls/node.key", "keys/sign.key", "keys/seal.pub", "keys/receipts.pub")


def folder_of(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """A sound configuration folder with `files` laid over it."""
    for name, content in {
        **dict.fromkeys(FILES, "-"),
        "config.toml": CONFIG,
        "cameras.d/lane-1.toml": CAMERA,
        **files,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def test_a_sound_folder_loads(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {})
    assert problems(folder) == ()
    loaded = load(folder)
    assert loaded.settings.node.site == "site-1"
    assert loaded.caps == Caps(120, 60, 3000, 25000, 1920)
    assert loaded.resolve(loaded.settings.keys.sign) == folder / "keys/sign.key"
    assert loaded.resolve(Path("/run/credentials/sign")) == Path("/run/credentials/sign")
    (camera,) = loaded.settings.cameras
    assert [str(network) for network in camera.addresses] == ["192.0.2.20/32", "2001:db8::/64"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", loaded.digest)


def test_later_files_win_key_by_key_and_say_so(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        {
            "conf.d/20-late.toml": "[uplink]\nkeepalive_s = 50\n",
            "conf.d/10-early.toml": "[uplink]\nkeepalive_s = 40\nwindow_bytes = 100_000\n",
            "conf.d/.hidden.toml": "nonsense",
            "conf.d/30.toml.bak": "nonsense",
        },
    )
    loaded = load(folder)
    assert (loaded.settings.uplink.keepalive_s, loaded.settings.uplink.window_bytes) == (50, 100_000)
    shown = {each.key: (each.value, str(each.origin)) for each in show(loaded)}
    assert shown["uplink.keepalive_s"] == (50, "conf.d/20-late.toml:2")
    assert shown["uplink.window_bytes"] == (100_000, "conf.d/10-early.toml:3")
    assert shown["uplink.broker"] == ("broker.example:8883", "config.toml:10")
    assert shown["compress.caps.patch_max_bytes"] == (None, "not set")
    assert shown["cameras.lane-1.addresses"] == (["192.0.2.20/32", "2001:db8::/64"], "cameras.d/lane-1.toml:3")
    assert shown["cameras.lane-1.authorisation.last_day"] == ("2026-12-31", "cameras.d/lane-1.toml:9")
    assert shown["cameras.lane-1.silent_after_s"] == (900, "built in")
    assert shown["health.heartbeat_s"][0] == 60
    assert re.fullmatch(r"defaults\.toml:\d+", shown["health.heartbeat_s"][1])
    json.dumps([each.value for each in show(loaded)])


def more(text: str) -> dict[str, str | bytes]:
    return {"conf.d/x.toml": text}


def camera(old: str, new: str) -> dict[str, str | bytes]:
    assert old in CAMERA
    return {"cameras.d/lane-1.toml": CAMERA.replace(old, new)}


def main(old: str, new: str) -> dict[str, str | bytes]:
    assert old in CONFIG
    return {"config.toml": CONFIG.replace(old, new)}


X, ONE = "conf.d/x.toml", "cameras.d/lane-1.toml"
SECOND = CAMERA.replace("lane-1", "lane-2")
# what was written; the one problem's file, line and key; what its sentence must tell
MISTAKES: dict[str, tuple[dict[str, str | bytes], tuple[str, int, str], str]] = {
    "bad TOML": (more("[uplink]\nkeepalive_s = \n"), (X, 2, ""), "not valid TOML: invalid value"),
    "key given twice": (more("[health]\nheartbeat_s = 9\nheartbeat_s = 8\n"), (X, 3, ""), "overwrite"),
    "unclosed text": (more('a = """\n\n'), (X, 2, ""), "unterminated"),
    "too many digits": (more("[health]\nheartbeat_s = " + "9" * 5000), (X, 1, ""), "too many digits"),
    "nested lists": (more("a = " + "[" * 5000), (X, 1, ""), "nested too deeply"),
    "nested keys": (more("\n" + "a." * 50 + "b = 1"), (X, 2, ""), "nested too deeply"),
    "not text": ({X: b"# ok\n# \xff\n"}, (X, 2, ""), "UTF-8"),
    "a huge file": (more("#" * 1_000_001), (X, 1, ""), "larger than"),
    "no such key": (more("[uplink]\n\nkeepalives = 3\n"), (X, 3, "uplink.keepalives"), "the nearest is keepalive_s"),
    "key in the wrong place": (more("heartbeat_s = 30\n"), (X, 1, "heartbeat_s"), "there is health.heartbeat_s"),
    "no such table": (more("\n[uplinks]\nbroker = 'a:1'\n"), (X, 2, "uplinks"), "the nearest is uplink"),
    "inline table": (more("# x\nhealth = { heartbeat_s = 60, beat = 2 }\n"), (X, 2, "health.beat"), "not a setting"),
    "text for a number": (more("[health]\nheartbeat_s = '60'\n"), (X, 2, "health.heartbeat_s"), "this is text"),
    "truth for a number": (more("[health]\nheartbeat_s = true\n"), (X, 2, "health.heartbeat_s"), "true or false"),
    "fraction": (more("[health]\nheartbeat_s = 60.5\n"), (X, 2, "health.heartbeat_s"), "whole number"),
    "not a number": (more("[compress]\ndeadline_s = nan\n"), (X, 2, "compress.deadline_s"), "finite"),
    "value for a table": (more("health = 3\n"), (X, 1, "health"), "should be a table"),
    "table for a value": (more("[health.heartbeat_s]\na = 1\n"), (X, 1, "health.heartbeat_s"), "this is a table"),
    "number for text": (main('"node-1"', "1"), ("config.toml", 4, "node.node"), "text, in quotes"),
    "capital in a name": (main('"node-1"', '"Node"'), ("config.toml", 4, "node.node"), "a-z0-9-"),
    "below": (more("[health]\nheartbeat_s = 4\n"), (X, 2, "health.heartbeat_s"), "greater than or equal to 5"),
    "above": (
        more("[capture.http_push]\nmax_delivery_bytes = 16_000_001\n"),
        (X, 2, "capture.http_push.max_delivery_bytes"),
        "less than or equal to 16000000",
    ),
    "relative path": (more("[paths]\nstate = 'state'\n"), (X, 2, "paths.state"), "absolute"),
    "missing key": (
        main('broker = "broker.example:8883"\n', ""),
        ("config.toml", 9, "uplink.broker"),
        "is missing: `host",
    ),
    "no port": (main(":8883", ""), ("config.toml", 10, "uplink.broker"), "host:port"),
    "no such protocol": (more("[uplink]\nprotocol = 4\n"), (X, 2, "uplink.protocol"), "5 or 3"),
    "no such acknowledgement": (
        more("[uplink]\nacknowledge = 'me'\n"),
        (X, 2, "uplink.acknowledge"),
        "'store' or 'broker'",
    ),
    "broker's word on MQTT 3": (
        more("[uplink]\nprotocol = 3\nacknowledge = 'broker'\n"),
        (X, 3, "uplink.acknowledge"),
        "only with protocol 5",
    ),
    "TLS without a key": (
        main('key = "tls/node.key"\n', ""),
        ("config.toml", 9, "uplink.key"),
        "needed while uplink.tls",
    ),
    "receipts unverifiable": (
        main('receipts_from = "keys/receipts.pub"\n', ""),
        ("config.toml", 15, "keys.receipts_from"),
        "needed while uplink.acknowledge is store",
    ),
    "key file missing": (main("keys/seal.pub", "keys/gone.pub"), ("config.toml", 17, "keys.seal_to"), "not there"),
    "key file is a folder": (main("tls/ca.pem", "tls"), ("config.toml", 11, "uplink.ca"), "not a file"),
    "a key itself": (
        main('"keys/sign.key"', '"""-----BEGIN PRIVATE KEY-----\nAAAA"""'),
        ("config.toml", 16, "keys.sign"),
        "is a key itself",
    ),
    "more per source than in all": (
        more("[capture.http_push]\nconnections_per_source = 65\n"),
        (X, 2, "capture.http_push.connections_per_source"),
        "more than connections",
    ),
    "patch raised": (
        more("[compress.caps]\npatch_max_bytes = 3001\n"),
        (X, 2, "compress.caps.patch_max_bytes"),
        "3001 is above the maximum of nasple-2.4, 3000: a cap may be lowered, never raised",
    ),
    "overview raised": (
        more("compress.caps.overview_max_bytes = 25_600\n"),
        (X, 1, "compress.caps.overview_max_bytes"),
        "never raised",
    ),
    "no such profile": (
        more("compress.profile = 'nasple-2.5'\n"),
        (X, 1, "compress.profile"),
        "the nearest is nasple-2.4",
    ),
    "cameras elsewhere": (more("\n[[cameras]]\nid = 'a'\n"), (X, 2, "cameras"), "cameras.d/"),
    "no address": (camera('["192.0.2.20", "2001:db8::/64"]', "[]"), (ONE, 3, "addresses"), "is missing"),
    "nobody calls a camera that is not there": (
        camera('addresses = ["192.0.2.20", "2001:db8::/64"]', ""),
        (ONE, 1, "addresses"),
        "is missing",
    ),
    "a source without what it needs": (
        camera("[authorisation]", '[source]\nkind = "http_pull"\naddress = "192.0.2.1:80"\n[authorisation]'),
        (ONE, 6, "source.recipe"),
        "needed with kind http_pull",
    ),
    "a source with what is another's": (
        camera(
            "[authorisation]",
            '[source]\nkind = "serial_line"\ndevice = "/dev/a"\nframing = "line"\nscheme = "basic"\n[authorisation]',
        ),
        (ONE, 10, "source.scheme"),
        "not for kind serial_line",
    ),
    "closing tags of nothing": (
        camera("[authorisation]", '[source]\nkind = "tcp_stream"\nframing = "closing_tag"\n[authorisation]'),
        (ONE, 6, "source.roots"),
        "needed there",
    ),
    "a camera without a door": (
        camera("[authorisation]", '[source]\nkind = "tcp_stream"\nframing = "line"\n[authorisation]'),
        (ONE, 7, "source.kind"),
        "capture.tcp_stream.listen",
    ),
    "a login that is not there": (
        camera("[authorisation]", '[source]\nlogin = "logins/none"\n[authorisation]'),
        (ONE, 7, "source.login"),
        "not there",
    ),
    "a path where none can be": (
        camera(
            "[authorisation]",
            'path = "/x"\n[source]\nkind = "serial_line"\ndevice = "/dev/a"\nframing = "line"\n[authorisation]',
        ),
        (ONE, 6, "path"),
        "push over HTTP",
    ),
    "not an address": (camera('"192.0.2.20"', '"192.0.2.20/8"'), (ONE, 3, "addresses[0]"), "IP address or a network"),
    "every address": (camera('"192.0.2.20"', '"0.0.0.0/0"'), (ONE, 3, "addresses[0]"), "every address"),
    "no such zone": (camera("Europe/London", "Europe/Lundon"), (ONE, 4, "zone"), "the nearest is Europe/London"),
    "a folder of zones": (camera("Europe/London", "Europe"), (ONE, 4, "zone"), "IANA time zone"),
    "date in quotes": (camera("2026-12-31", '"2026-12-31"'), (ONE, 9, "authorisation.last_day"), "without quotes"),
    "ends before it begins": (
        camera("2026-12-31", "2025-12-31"),
        (ONE, 9, "authorisation.last_day"),
        "before first_day",
    ),
    "no reference": (camera('"DPIA-1"', '" "'), (ONE, 7, "authorisation.reference"), "match"),
    "no authority": (
        camera('reference = "DPIA-1"\n', ""),
        (ONE, 6, "authorisation.reference"),
        "is missing: the decision that allows",
    ),
    "unknown in a camera": (camera("zone", "adresses = []\nzone"), (ONE, 4, "adresses"), "the nearest is addresses"),
    "path without a slash": (camera("zone", "path = 'push'\nzone"), (ONE, 4, "path"), "URL path"),
    "mapping without generic": (
        camera("[auth", "[mapping]\nplate = 'a'\n[auth"),
        (ONE, 6, "mapping"),
        "generic dialect only",
    ),
    "mapping of no field": (
        {ONE: CAMERA.replace("hikvision", "generic") + "[mapping]\nplate = 'a.b'\nplates = 'c'\n"},
        (ONE, 12, "mapping.plates"),
        "the nearest is plate",
    ),
    "a path of nothing": (
        {ONE: CAMERA.replace("hikvision", "generic") + "[mapping]\nplate = 'a..b'\n"},
        (ONE, 11, "mapping.plate"),
        "path of the plate text",
    ),
    "scale of ten": (
        {ONE: CAMERA.replace("hikvision", "generic") + "[mapping]\nplate = 'a'\nconfidence_scale = 10\n"},
        (ONE, 12, "mapping.confidence_scale"),
        "1, 100 or 255",
    ),
    "unreadable camera": ({ONE: "id ="}, (ONE, 1, ""), "not valid TOML"),
    "same name": (
        {"cameras.d/z.toml": CAMERA.replace("192.0.2.20", "192.0.2.21").replace("2001:db8::/64", "::1")},
        ("cameras.d/z.toml", 1, "id"),
        "already the name of another camera, lane-1",
    ),
    "same claim": (
        {"cameras.d/a.toml": SECOND.replace('"192.0.2.20", ', "")},
        ("cameras.d/a.toml", 3, "addresses"),
        "overlap those of camera lane-1",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path: Path, name: str) -> None:
    files, where, tells = MISTAKES[name]
    folder = folder_of(tmp_path, files)
    found = problems(folder)
    assert [(each.file, each.line, each.key) for each in found] == [where]
    assert tells.lower() in found[0].problem.lower()
    with pytest.raises(Misconfigured) as refused:
        load(folder)
    assert f"{folder}/{where[0]}:{where[1]} " in refused.value.sentence
    assert "config check" in refused.value.hint


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        {
            "config.toml": "[node]\noperator = 'x'\n[capture]\n[uplink]\nbroker = 'a:1'\n",
            "conf.d/x.toml": "[compress.caps]\npatch_max_width_px = 121\n[health]\nheartbeat_s = 1\n",
            ONE: "id = 'A'",
        },
    )
    found = {(each.file, each.line, each.key) for each in problems(folder)}
    assert found == {
        ("config.toml", 1, "node.site"),
        ("config.toml", 1, "node.node"),
        ("config.toml", 3, "capture.http_push.listen"),
        ("config.toml", 4, "uplink.ca"),
        ("config.toml", 4, "uplink.certificate"),
        ("config.toml", 4, "uplink.key"),
        ("config.toml", 1, "keys.sign"),
        ("config.toml", 1, "keys.seal_to"),
        (X, 2, "compress.caps.patch_max_width_px"),
        (X, 4, "health.heartbeat_s"),
        *((ONE, 1, key) for key in ("id", "dialect", "zone")),
        *((ONE, 1, f"authorisation.{key}") for key in ("reference", "first_day", "last_day")),
    }


def test_no_problem_repeats_a_value(tmp_path: Path) -> None:
    secret = "-----BEGIN hush-hush"
    text = (
        CONFIG.replace("keys/sign.key", secret)
        .replace("broker.example:8883", secret)
        .replace('"node-1"', f'"{secret}"')
    )
    for old in ('"192.0.2.20"', '"Europe/London"', '"DPIA-1"', "2026-01-01"):
        folder = folder_of(tmp_path, {"config.toml": text, ONE: CAMERA.replace(old, f'["{secret}"]')})
        found = problems(folder)
        assert {"keys.sign", "uplink.broker", "node.node"} <= {each.key for each in found}
        assert "hush" not in repr(found)


def test_a_folder_or_file_that_is_not_there(tmp_path: Path) -> None:
    assert problems(tmp_path / "no") == (Problem("config.toml", 1, "", "is not there: there is no such folder"),)
    assert [str(each) for each in problems(tmp_path)] == ["config.toml:1 cannot be read: No such file or directory"]
    folder_of(tmp_path, {"conf.d": ""})
    assert [(each.file, each.problem) for each in problems(tmp_path)] == [("conf.d", "cannot be read: Not a directory")]


def test_key_files_need_not_exist_for_the_commands_that_make_them(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {})
    (folder / "keys/sign.key").unlink()
    assert [each.key for each in problems(folder)] == ["keys.sign"]
    assert load(folder, need_files=False).settings.keys.sign == Path("keys/sign.key")


def test_without_tls_no_certificate_is_needed(tmp_path: Path) -> None:
    lines = [line for line in CONFIG.splitlines() if not line.startswith(("ca ", "certificate ", "key "))]
    folder = folder_of(tmp_path, {"config.toml": "\n".join(lines), "conf.d/x.toml": "[uplink]\ntls = false\n"})
    assert load(folder).settings.uplink.tls is False


def test_a_dialect_may_be_checked_against_those_that_are_known(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {})
    assert problems(folder, dialects={"hikvision", "axis"}) == ()
    (found,) = problems(folder, dialects={"hikvisions", "axis"})
    assert (found.file, found.line, found.key) == (ONE, 2, "dialect")
    assert "hikvisions" in found.problem


def test_cameras_behind_one_address_are_told_apart_by_identity_or_path(tmp_path: Path) -> None:
    for difference in ('identity = "AA-BB:01"\n', 'path = "/two"\n'):
        folder = folder_of(tmp_path, {"cameras.d/two.toml": difference + SECOND})
        assert [each.id for each in load(folder).settings.cameras] == ["lane-1", "lane-2"]
    same = folder_of(
        tmp_path,
        {"cameras.d/two.toml": 'identity = "AA-BB:01"\n' + SECOND, ONE: 'identity = "aabb01"\n' + CAMERA},
    )
    assert [each.key for each in problems(same)] == ["addresses"]


def test_an_expired_authorisation_is_no_problem_of_the_configuration(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, camera("2026-01-01", "2001-01-01") | {})
    past = CAMERA.replace("2026-01-01", "2001-01-01").replace("2026-12-31", "2001-12-31")
    (folder / ONE).write_text(past)
    assert problems(folder) == ()


def test_the_digest_knows_values_and_not_their_order(tmp_path: Path) -> None:
    digest = load(folder_of(tmp_path / "a", {})).digest
    head, *tables = re.split(r"(?m)^(?=\[)", CONFIG)
    turned = head + "".join(
        "\n".join([t.splitlines()[0], *reversed(t.splitlines()[1:])]) + "\n" for t in reversed(tables)
    )
    moved = {"config.toml": "# a remark\n" + turned, "conf.d/x.toml": "[health]\nheartbeat_s = 60\n"}
    again = folder_of(tmp_path / "b", moved)
    (again / ONE).rename(again / "cameras.d/other-name.toml")
    assert load(again).digest == digest
    changes: Sequence[Mapping[str, str | bytes]] = [
        main('"site-1"', '"site-2"'),
        main("broker.example", "other.example"),
        more("[health]\nheartbeat_s = 61\n"),
        more("[compress.caps]\noverview_max_bytes = 24_999\n"),
        more("[uplink]\nreceipt_timeout_s = 30.5\n"),
        camera("2026-12-31", "2026-12-30"),
        camera("192.0.2.20", "192.0.2.21"),
        camera("zone", "keep_unread = false\nzone"),
        {"cameras.d/two.toml": SECOND.replace("192.0.2.20", "192.0.2.9").replace("2001:db8::/64", "::1")},
    ]
    digests = {load(folder_of(tmp_path / str(n), files)).digest for n, files in enumerate(changes)}
    assert len(digests | {digest}) == len(changes) + 1


def test_caps_may_be_lowered_and_never_raised() -> None:
    profile = load_profile("nasple-2.4")
    assert in_force(profile, LoweredCaps()) == Caps(120, 60, 3000, 25000, 1920)
    assert in_force(profile, LoweredCaps(patch_max_bytes=2500, overview_max_side_px=960)) == Caps(
        120, 60, 2500, 25000, 960
    )
    for cap in LoweredCaps.model_fields:
        limit = profile.cited(cap).value
        assert getattr(in_force(profile, LoweredCaps(**{cap: limit})), cap) == limit
        with pytest.raises(Misconfigured, match=cap) as refused:
            in_force(profile, LoweredCaps(**{cap: limit + 1}))
        assert "never raise" in refused.value.hint


def test_every_number_of_a_profile_is_cited() -> None:
    assert profile_names() == ("nasple-2.4",)
    profile = load_profile("nasple-2.4")
    assert "was read" in profile.reading
    assert "Neither" in profile.reading
    assert (profile.buffer_max_age_days, profile.clock_warn_ms, profile.clock_fault_ms) == (7, 1000, 10_000)
    for key, limit in profile.limits:
        assert limit.value == getattr(profile, key)
        assert limit.source
        assert limit.note
        # None of the standard's own text was seen, so no number may claim it.
        assert limit.certainty in {"S", "D", "X"}
    with pytest.raises(Misconfigured, match=r"nearest is nasple-2\.4"):
        load_profile("nasple-2.3")
    with pytest.raises(Misconfigured):
        load_profile("../defaults")


@pytest.mark.parametrize(
    ("on", "state", "days_left"),
    [
        ("2025-12-31", AuthorisationState.NOT_YET, 365),
        ("2026-01-01", AuthorisationState.AUTHORISED, 364),
        ("2026-12-31", AuthorisationState.AUTHORISED, 0),
        ("2027-01-01", AuthorisationState.EXPIRED, -1),
    ],
)
def test_an_authorisation_covers_its_first_and_last_day(on: str, state: AuthorisationState, days_left: int) -> None:
    day = datetime.date.fromisoformat(on)
    year = authorisation(
        Authorisation(reference="A", first_day=datetime.date(2026, 1, 1), last_day=datetime.date(2026, 12, 31))
    )
    assert (year.state(day), year.days_left(day)) == (state, days_left)


def test_the_cameras_come_out_as_the_rules_know_them(tmp_path: Path) -> None:
    (one,) = cameras(load(folder_of(tmp_path, {})).settings)
    assert one.stands_at("192.0.2.20")
    assert not one.stands_at("192.0.2.21")
    assert str(one.zone) == "Europe/London"


def test_settings_do_not_change_and_do_not_show_addresses(tmp_path: Path) -> None:
    position = "identity = 'SERIAL9'\nprobe = '192.0.2.20:554'\nposition = { latitude = 51, longitude = -1.25 }\nzone"
    loaded = load(folder_of(tmp_path, camera("zone", position)))
    with pytest.raises(ValidationError):
        loaded.settings.node.site = "other"
    for hidden in ("192.0.2", "2001:db8", "serial9", "1.25", "broker.example", "sign.key"):
        assert hidden not in repr(loaded)
    assert loaded.settings.cameras[0].identity == "serial9"


def test_hosts_ports_and_identities() -> None:
    assert host_port("broker.example:8883") == ("broker.example", 8883)
    assert host_port("[2001:db8::1]:80") == ("2001:db8::1", 80)
    for wrong in ("host", "host:", ":1", "host:65536", "2001:db8::1:80", "[host]:1", "a b:1", "mqtt://a:1", "host:-1"):
        with pytest.raises(ValueError, match=r".+"):
            host_port(wrong)
    assert comparison_key("AA:bb-01.2 3") == "aabb0123"


def test_the_generic_mapping_is_given_as_the_dialect_takes_it() -> None:
    table = tomllib.loads(CAMERA.replace("hikvision", "generic") + "[mapping]\nplate = 'a.b'\nconfidence_scale = 1\n")
    one = Camera.model_validate(table)
    assert one.mapping is not None
    assert one.mapping.for_dialect() == {
        "plate": "a.b",
        "confidence_scale": "1",
        "captured_at_unit": "iso",
        "direction_toward": "toward",
        "direction_away": "away",
    }


ORIGINS = '''\
# remark with [table] and "quotes
a = 1
"b c".d = """
x = 1
[no]
""\\""" # """"
e.'f.g' = [
  "]", # ]
  { h = "}" },
]

[ t . u ]
v = \'\'\'
[no]\'\'\'\'
w = { x = 1, y = [1, 2] } # [no]
[[r]]
s = "\\"[no]"
[r.sub]
t = 2026-01-01T00:00:00Z
[[r]]
[[r.list]]
s = ''
[t]
z = 1'''


def test_each_key_is_found_on_its_line() -> None:
    for text in (ORIGINS, ORIGINS.replace("\n", "\r\n")):
        tomllib.loads(text)
        assert key_lines(text) == {
            ("a",): 2,
            ("b c",): 3,
            ("b c", "d"): 3,
            ("e",): 7,
            ("e", "f.g"): 7,
            ("t",): 23,
            ("t", "u"): 12,
            ("t", "u", "v"): 13,
            ("t", "u", "w"): 15,
            ("r",): 16,
            ("r", 0): 16,
            ("r", 0, "s"): 17,
            ("r", 0, "sub"): 18,
            ("r", 0, "sub", "t"): 19,
            ("r", 1): 20,
            ("r", 1, "list"): 21,
            ("r", 1, "list", 0): 21,
            ("r", 1, "list", 0, "s"): 22,
            ("t", "z"): 24,
        }
    assert line_of(key_lines(ORIGINS), ("t", "u", "w", "y", 1)) == 15
    assert line_of(key_lines(ORIGINS), ("nowhere",)) == 1
    assert (dotted(("r", 0, "s")), str(Origin("a.toml", 3)), str(Origin("built in", 0))) == (
        "r[0].s",
        "a.toml:3",
        "built in",
    )


_NASTY = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8) | st.sampled_from(
    ['"', "'", "[x]", "# no", "a.b", "]", "}", "=", "\\", '"""', "'''", "\n", "x\n[y]\nz = 1\n"]
)


def _quoted(text: str) -> str:
    return (
        json.dumps(text, ensure_ascii=True)
        if not any(ord(c) > 0xFFFF for c in text)
        else json.dumps(text, ensure_ascii=False)
    )


def _value(text: str, style: int) -> str:
    quoted = _quoted(text)
    plain = text.replace("\\", "").replace('"', "").replace("'", "")
    return [quoted, f'"""{plain}"""', f"'''\n{plain}'''", f"[{quoted}, # ]\n {quoted}]", f"{{ k = {quoted} }}"][style]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        _NASTY, st.dictionaries(_NASTY, st.tuples(_NASTY, st.integers(0, 4)), max_size=3), min_size=1, max_size=3
    )
)
def test_lines_agree_with_the_parser(tables: dict[str, dict[str, tuple[str, int]]]) -> None:
    text = ""
    expected: dict[tuple[str, ...], int] = {}
    for table, pairs in tables.items():
        expected[(table,)] = text.count("\n") + 1
        text += f"[{_quoted(table)}] # [not a table]\n"
        for key, (value, style) in pairs.items():
            expected[(table, key)] = text.count("\n") + 1
            text += f"{_quoted(key)} = {_value(value, style)}\n"
    parsed = tomllib.loads(text)
    lines = key_lines(text)
    assert lines == expected
    assert set(lines) == {(table,) for table in parsed} | {(table, key) for table in parsed for key in parsed[table]}


def _leaves(table: dict[str, Any], above: KeyPath = ()) -> dict[KeyPath, object]:
    found: dict[KeyPath, object] = {}
    for key, value in table.items():
        found |= _leaves(value, (*above, key)) if isinstance(value, dict) else {(*above, key): value}
    return found


def test_the_packaged_defaults_are_those_of_the_model() -> None:
    packaged = _leaves(defaults().table)
    for path, info in all_keys(Settings).items():
        if info.is_required() or info.default is None:
            assert path not in packaged
            assert str(path[-1]) in _remarks(), f"{dotted(path)} is not named in defaults.toml"
        else:
            default = str(info.default) if isinstance(info.default, Path) else info.default
            assert packaged.pop(path) == default, dotted(path)
    assert packaged == {}


def _remarks() -> str:
    text = (Path(__file__).resolve().parents[2] / "firmware_config" / "defaults.toml").read_text()
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


@pytest.mark.parametrize(("schema", "model"), [(json_schema(), Settings), (camera_json_schema(), Camera)])
def test_the_schema_knows_every_key(schema: dict[str, Any], model: type[Settings] | type[Camera]) -> None:
    schema = json.loads(json.dumps(schema))
    for path in all_keys(model):
        node = schema
        for part in path:
            node = _followed(schema, node)
            assert node["additionalProperties"] is False
            node = node["properties"][part]
        assert node["description"], dotted(path)


def _followed(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for choice in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
        if "$ref" in choice:
            found: dict[str, Any] = schema["$defs"][choice["$ref"].rsplit("/", 1)[1]]
            return found
    return node


def test_the_manual_has_every_setting_with_its_default_and_no_other() -> None:
    rows = [
        line for line in MANUAL.read_text("utf-8").splitlines() if re.match(r"\| `[a-z_.]+` \| (`|none|must)", line)
    ]
    expected = []
    for each in (*reference(), *camera_reference()):
        default = {"": "must be given", "none": "none"}.get(each.default, f"`{each.default}`")
        expected.append(f"| `{each.key}` | {default} | {each.bounds} | {each.meaning} |")
    assert sorted(rows) == sorted(expected)


def test_the_examples_of_the_manual_are_sound(tmp_path: Path) -> None:
    config, one, mapping = re.findall(r"```toml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    named = re.findall(r'"((?:tls|keys)/[^"]+)"', config)
    folder = folder_of(tmp_path, {"config.toml": config, ONE: one, **dict.fromkeys(named, "-")})
    assert problems(folder) == ()
    (folder / ONE).write_text(one.replace("hikvision", "generic") + mapping)
    assert problems(folder) == ()
