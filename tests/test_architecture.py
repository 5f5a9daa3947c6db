"""The map, held: which room may know which, who may touch which effect, who may make which guarantee.

Each table says why. A new arrow or effect is an edit here, with its reason.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from capture.dialects import DIALECTS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("edge", "capture", "compress", "uplink", "firmware_config", "simulators")

# The program: imports every room, and is imported by nobody but itself.
PROGRAM = ("edge.__main__", "edge.assembly", "edge.doors", "edge.node", "edge.commands")

ARROWS: dict[str, set[str]] = {
    "edge": set(),  # the vocabulary, the rules, the ledger
    "firmware_config": {"edge"},  # settings become the cameras that the rules know
    "capture": {"edge"},  # deliveries become claims
    "compress": {"edge", "firmware_config"},  # caps come from the legal profile
    "uplink": {"edge"},  # records go out, receipts come back
    "simulators": set(),  # the world: a second implementation proves nothing if it shares code
}

# Which modules may import or call which effect.
EFFECTS: dict[str, dict[str, str]] = {
    "sqlite3": {
        "edge.schema": "migrations and read-only reports go through sqlite-utils",
    },
    "apsw": {
        "edge.schema": "opens the one connection that writes",
        "edge.ledger": "the thread that owns it",
        "edge.seen": "the part of it that knows what came before",
        "edge.soundness": "whether a file just opened is a ledger",
        "edge.keeping": "the ledger's rows",
        "edge.ageing": "the part of it that gives up what is old or does not fit",
        "edge.returning": "the part of it that puts back what was salvaged",
        "edge.leaving": "the part of the ledger's transaction in which records leave",
    },
    "sqlite_utils": {"edge.schema": "migrations and reports", "edge.commands.verify": "reads a report"},
    "socket": {
        "edge.notify": "speaks to systemd",
        "uplink.client": "sets TCP_USER_TIMEOUT",
        "capture.sources.tcp_connection": "TCP keepalive",
        "capture.sources.ftp_drop": "listens, and rings the bell of the thread that serves",
        "capture.sources.ftp_session": "peeks whether the camera still stands",
        "capture.sources.mqtt_socket": "connects in a way that can be stopped",
        "capture.sources.mqtt_client": "types of it",
        "capture.sources.mqtt_connection": "types of it",
        "uplink.trouble": "tells a missing name from a missing network",
    },
    "ssl": {
        "uplink.tls": "the uplink's TLS, and what is wrong with it",
        "uplink.client": "the handshake",
        "uplink.checks": "says how the broker answers",
        "uplink.mqtt": "type of a context",
        "uplink.line": "tells a failed handshake",
        "edge.version": "names OpenSSL's version",
        "capture.tls": "what cameras are shown, and whom the node believes",
        "capture.asking": "type of a context",
        "capture.sources.http_push": "type of a context",
        "capture.sources.mqtt_connection": "tells a failed handshake",
        "capture.sources.mqtt_socket": "the handshake",
        "edge.doors": "type of a context",
    },
    "subprocess": {},
    "tempfile": {},
    "pickle": {},
    "random": {
        "uplink.mqtt": "jitter of the back-off; keys and epochs come from os.urandom",
        "capture.sources.http_pull": "jitter",
        "capture.sources.tcp_stream": "jitter",
        "capture.sources.mqtt_events": "jitter",
        "capture.sources.rtsp_grab": "jitter",
        "capture.sources.serial_port": "jitter",
    },
    "time": {
        "edge.clock": "the one place that asks what time it is",
        "edge.worker": "monotonic: how long a commit waits for others",
        "edge.commands.fit": "how long a fit took",
        "edge.commands.status": "waits between screens",
    },
    "paho": {
        "uplink.client": "the store's broker",
        "uplink.line": "the store's broker",
        "capture.sources.mqtt_client": "a camera's broker",
        "capture.sources.mqtt_connection": "a camera's broker",
    },
    "pyftpdlib": {f"capture.sources.ftp_{part}": "cameras that upload" for part in ("data", "drop", "session", "tls")},
    "OpenSSL": {"capture.sources.ftp_tls": "TLS under pyftpdlib; optional"},
    "serial": {"capture.sources.serial_port": "serial lines"},
    "PIL": {
        "compress.decode": "the only decoder",
        "compress.codec": "the only encoder",
        "compress.fit": "hands pictures from one to the other",
        "compress.overview": "cuts bands to probe, and resizes",
        "compress.vehicle": "hands pictures to what softens and locates, and back",
        "compress.checks": "draws a test picture",
    },
    "cv2": {
        "compress.overview": "resizes",
        "compress.measure": "differences and means over the original",
        "compress.surround": "softens what surrounds the vehicle",
        "compress.locate": "proposes where a plate is",
        "capture.sources.rtsp_frames": "decodes a camera's stream",
    },
    "aiohttp": {
        "capture.sources.http_push": "the HTTP server",
        "capture.checks": "knocks at our own door",
        "capture.asking": "asks cameras",
    },
    "threading": {
        "edge.worker": "the ledger thread",
        "compress.turn": "large pictures take turns",
        "capture.sources.serial_port": "the line's thread",
        "capture.sources.rtsp_frames": "the stream's thread",
    },
}

CALLS: dict[str, dict[str, str]] = {
    "os.environ": {
        "capture.sources.rtsp_frames": "OpenCV takes FFmpeg's options from nowhere else",
        "edge.notify": "what systemd says",
        "edge.clock": "the boot id that systemd hands in, where /proc is hidden",
    },
    "os.urandom": {"edge.ledger": "8 bytes of each epoch", "edge.doors": "the secret under the nonces"},
    "datetime.now": {"edge.commands.decode": "the arrival of a delivery replayed by hand"},
    "time.sleep": {"edge.commands.status": "waits between screens"},
}

# Who may make the type that stands for a guarantee.
MAKERS: dict[str, set[str]] = {
    "Delivery": {
        "capture.sources.http_push",
        "capture.sources.http_pull",
        "capture.sources.tcp_connection",
        "capture.sources.serial_line",
        "capture.sources.ftp_desk",
        "capture.sources.mqtt_events",
        "edge.commands.decode",
        "edge.commands.quarantine",
    },
    "RawRead": {f"capture.dialects.{name}" for name in DIALECTS} | {"capture.dialects.dahua_reads"},
    "Read": {"edge.admit"},
    "Evidence": {"compress.evidence"},
    "FittedImage": {"compress.fit"},
    "Record": {"edge.ledger"},
    "Receipt": {"uplink.wire"},
}

# Who may write bytes to a disk: nobody who ever holds an original.
WRITERS = {
    "edge.schema": "makes the ledger's file",
    "edge.keys": "makes keys",
    "edge.statusfile": "numbers and words, in the runtime folder",
    "edge.commands.fit": "the fitted pictures that the user asked for",
    "edge.ballast": "zeros",
    "capture.quarantine": "texts that nobody understood, sealed",
    "edge.__main__": "the null device, where the reader of a pipe has gone",
}

FORBIDDEN_NAMES = {
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "manager",
    "service",
    "handler",
    "base",
    "core",
    "misc",
}
LONGEST_MODULE_LINES = 330
LONGEST_FUNCTION_LINES = 60


def files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: a relative import hides an arrow"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_program(module: str) -> bool:
    return any(module == part or module.startswith(part + ".") for part in PROGRAM)


def node_files() -> list[Path]:
    return [path for path in files() if not name(path).startswith("simulators")]


@pytest.mark.parametrize("path", files(), ids=name)
def test_arrows(path: Path) -> None:
    module = name(path)
    room = module.split(".")[0]
    allowed = set(ROOMS) - {"simulators"} if is_program(module) else ARROWS[room] | {room}
    known = {each.split(".")[0] for each in imports(path)} & set(ROOMS)
    assert known <= allowed, f"{module} may not know {sorted(known - allowed)}"


@pytest.mark.parametrize("path", files(), ids=name)
def test_nobody_imports_the_program(path: Path) -> None:
    if not is_program(name(path)):
        assert not [each for each in imports(path) if is_program(each)]


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects(effect: str) -> None:
    found = {
        name(path)
        for path in node_files()
        if any(each == effect or each.startswith(effect + ".") for each in imports(path))
    }
    assert found == set(EFFECTS[effect])


@pytest.mark.parametrize("call", CALLS)
def test_calls(call: str) -> None:
    found = {
        name(path)
        for path in node_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == call
    }
    assert found == set(CALLS[call])


@pytest.mark.parametrize("made", MAKERS)
def test_who_makes_a_guarantee(made: str) -> None:
    found = {
        name(path)
        for path in node_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == made
    }
    assert found == MAKERS[made]


def test_who_writes_to_a_disk() -> None:
    """`open` for writing, `write_bytes`, `write_text`, `os.open`, `os.fdopen`: each in a named place."""
    writing = {"write_bytes", "write_text", "open", "fdopen", "NamedTemporaryFile", "save"}
    found = set()
    for path in node_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called.split(".")[-1] in writing and not _reads_or_encodes(called, node):
                    found.add(name(path))
    assert found == set(WRITERS)


def _reads_or_encodes(called: str, node: ast.Call) -> bool:
    """Pillow's `Image.open` and a `save` into memory, and methods of ours that are called open, write nothing."""
    in_memory = called.endswith(".save") and bool(node.args) and ast.unparse(node.args[0]) in ("file", "out", "buffer")
    reads = any(isinstance(each, ast.Constant) and each.value == "rb" for each in node.args)
    return in_memory or reads or called in ("Image.open", "Ledger.open")


@pytest.mark.parametrize("path", files(), ids=name)
def test_names_sizes_and_promises(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert ast.get_docstring(tree(path)), f"{name(path)} does not say its promise"
    assert len(path.read_text("utf-8").splitlines()) <= LONGEST_MODULE_LINES
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= LONGEST_FUNCTION_LINES, f"{name(path)}.{node.name} has {length} lines"


BROAD_EXCEPTS = {
    "capture.receive": "the decoding of hostile bytes",
    "capture.sources.mqtt_connection": "paho decodes a broker's bytes",
    "compress.decode": "the decoding of hostile bytes",
    "edge.check": "the loop that runs independent checks",
    "edge.worker": "carries whatever ends the ledger thread to the loop, which ends the process",
}


def test_broad_excepts_have_their_homes() -> None:
    found = {
        name(path)
        for path in node_files()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    }
    assert found == set(BROAD_EXCEPTS)


def test_setup_names_every_package() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = set(setup["options"]["packages"].split())
    found = {name(path) for path in files() if path.name == "__init__.py"}
    assert named == found


def test_a_forbidden_arrow_would_be_seen(tmp_path: Path) -> None:
    """The control: the reader of imports sees plain, nested and aliased ones."""
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from uplink import mqtt as m\n    import capture.receive\n", "utf-8")
    assert {each.split(".")[0] for each in imports(planted)} == {"uplink", "capture"}
