"""Tells systemd how the service is (sd_notify(3)): ready, alive, stopping, and one true line for `systemctl status`."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends to the socket that systemd names; where there is none, does nothing."""

    def __init__(self, address: str | None, watchdog_usec: str | None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address
        self.watchdog_s = int(watchdog_usec) / 1e6 if watchdog_usec and watchdog_usec.isdigit() else None

    @classmethod
    def from_environment(cls) -> Notifier:
        return cls(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))

    def ready(self) -> None:
        self._send("READY=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, line: str) -> None:
        self._send("STATUS=" + line.replace("\n", " "))

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(self._address)
                sock.sendall(text.encode())
            except OSError:
                # systemd will notice a missing watchdog by itself; the service's work goes on.
                return
