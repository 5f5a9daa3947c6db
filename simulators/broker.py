"""An MQTT broker on loopback: Mosquitto where it is installed, else amqtt.

It listens on 127.0.0.1 and nowhere else, lets everybody in, and keeps nothing on disk. It says one line of JSON on
standard output when it accepts connections, and nothing more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("amqtt", "mosquitto")
MESSAGE_LIMIT_BYTES = 1_048_576
QUEUE_LIMIT = 100_000
START_LIMIT_S = 10.0
CERTIFICATE, PRIVATE_KEY = "broker.pem", "broker.key"
CLIENT_AUTHORITY = "ca.pem"


def find_mosquitto() -> str | None:
    """The path of Mosquitto, which Debian keeps out of an ordinary user's PATH; None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--kind", choices=KINDS, help="default: mosquitto where it is installed, else amqtt")
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help=f"holds {CERTIFICATE} and {PRIVATE_KEY}; {CLIENT_AUTHORITY} too, if clients must show a certificate",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Returns 78 where the broker or its certificate is missing."""
    mosquitto = find_mosquitto()
    kind = args.kind or ("mosquitto" if mosquitto else "amqtt")
    if args.tls is not None:
        for name in (CERTIFICATE, PRIVATE_KEY):
            if not (args.tls / name).is_file():
                print(f"{args.tls / name} is missing", file=sys.stderr)
                return 78
    if kind == "mosquitto":
        if mosquitto is None:
            print("mosquitto is not installed; use --kind amqtt, or: apt install mosquitto", file=sys.stderr)
            return 78
        return _run_mosquitto(mosquitto, args.port, args.tls)
    return _run_amqtt(args.port, args.tls)


def _say_ready(port: int, kind: str) -> None:
    print(json.dumps({"ready": True, "port": port, "kind": kind}), flush=True)


def _run_amqtt(port: int, tls: Path | None) -> int:
    try:
        from simulators.embedded_broker import serve  # the package is optional
    except ImportError:
        print("amqtt is not installed: pip install 'anpr-edge[simulators]'", file=sys.stderr)
        return 78
    asyncio.run(serve(port, _tls_context(tls) if tls else None, lambda bound: _say_ready(bound, "amqtt")))
    return 0


def _tls_context(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / CERTIFICATE, folder / PRIVATE_KEY)
    if (folder / CLIENT_AUTHORITY).is_file():
        context.load_verify_locations(folder / CLIENT_AUTHORITY)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _run_mosquitto(program: str, port: int, tls: Path | None) -> int:
    port = port or _free_port()
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        settings = Path(folder) / "mosquitto.conf"
        settings.write_text(_settings(port, tls))
        child = subprocess.Popen([program, "-c", str(settings)], stdout=sys.stderr)

        def stop(*_: object) -> None:
            child.terminate()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        if not _accepts(port, child):
            child.kill()
            child.wait()
            print(f"mosquitto did not accept connections on port {port}", file=sys.stderr)
            return 1
        _say_ready(port, "mosquitto")
        code = child.wait()
    return 0 if code in (0, -signal.SIGTERM) else 1


def _settings(port: int, tls: Path | None) -> str:
    """Mosquitto's own defaults drop what goes beyond 1,000 queued messages without a word."""
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_inflight_messages 1000",
        f"max_queued_messages {QUEUE_LIMIT}",
        f"message_size_limit {MESSAGE_LIMIT_BYTES}",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        # it would give up root for a user that may not read a temporary folder
        f"user {getpass.getuser()}",
    ]
    if tls is not None:
        lines += [f"certfile {(tls / CERTIFICATE).resolve()}", f"keyfile {(tls / PRIVATE_KEY).resolve()}"]
        if (tls / CLIENT_AUTHORITY).is_file():
            lines += [f"cafile {(tls / CLIENT_AUTHORITY).resolve()}", "require_certificate true"]
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(port: int, child: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return child.poll() is None
        time.sleep(0.02)
    return False
