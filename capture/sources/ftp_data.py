"""The data connections of an FTP session. Runs in the FTP thread only.

What may not happen here: an upload that was cut off, taken for a complete one; a connection to or from anybody but the
camera; a wait without an end.
"""

from __future__ import annotations

import sys
from typing import Any

from pyftpdlib import ioloop  # type: ignore[import-untyped]  # first: it silences asyncore's deprecation
from pyftpdlib.handlers import DTPHandler  # type: ignore[import-untyped]
from pyftpdlib.handlers.ftp.dispatchers import ActiveDTP, PassiveDTP  # type: ignore[import-untyped]
from pyftpdlib.handlers.ftp.producers import BufferedIteratorProducer  # type: ignore[import-untyped]

from capture.sources.ftp_memory import Overfull


class Passive(PassiveDTP):  # type: ignore[misc]  # pyftpdlib has no types
    """Waits for the camera's data connection; on a port of the range, or not at all."""

    def __init__(self, cmd_channel: Any, extmode: bool = False) -> None:
        self.timeout = cmd_channel.desk.limits.connect_s
        self._probing = False
        super().__init__(cmd_channel, extmode)

    def bind_af_unspecified(self, addr: Any) -> Any:
        self._probing = True
        try:
            return super().bind_af_unspecified(addr)
        finally:
            self._probing = False

    def bind(self, addr: Any) -> None:
        if addr[1] == 0 and self.cmd_channel.passive_ports is not None and not self._probing:
            raise OSError("no passive port is free")  # pyftpdlib would take any other
        super().bind(addr)

    def handle_accepted(self, sock: Any, addr: Any) -> None:
        if addr[0] != self.cmd_channel.remote_ip:
            sock.close()  # without an answer: the camera did not ask anything
            self.cmd_channel.desk.counts["foreign_data"] += 1
            return
        super().handle_accepted(sock, addr)

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.not_connected()

    def handle_error(self) -> None:
        self.cmd_channel.log_exception(self)
        self.close()
        self.cmd_channel.not_connected()


class Active(ActiveDTP):  # type: ignore[misc]
    """Calls the camera back for its data."""

    def __init__(self, ip: str, port: int, cmd_channel: Any) -> None:
        self.timeout = cmd_channel.desk.limits.connect_s
        super().__init__(ip, port, cmd_channel)

    def handle_connect(self) -> None:
        """The socket is the data channel's from here on: closing it twice would close what has its number by then."""
        super().handle_connect()
        if self.cmd_channel.data_channel is not None:
            self._closed = True
            self.cmd_channel._dtp_connector = None

    def handle_close(self) -> None:
        super().handle_close()
        self.cmd_channel.not_connected()

    def handle_timeout(self) -> None:
        super().handle_timeout()
        self.cmd_channel.not_connected()


class Data(DTPHandler):  # type: ignore[misc]
    """A data connection. Only a proper end, of a session that still stands, makes an upload complete."""

    def __init__(self, sock: Any, cmd_channel: Any) -> None:
        self.timeout = cmd_channel.desk.limits.quiet_s
        self.ended = False
        super().__init__(sock, cmd_channel)
        if self.connected:
            self.call_later(cmd_channel.desk.limits.transfer_s, self._late)

    def enable_receiving(self, type: str, cmd: str) -> None:
        super().enable_receiving("i", cmd)  # bytes as they come: text mode would spoil a picture

    def recv(self, buffer_size: int) -> bytes:
        try:
            data: bytes = self.socket.recv(buffer_size)
        except BlockingIOError:
            raise ioloop._RetryError from None
        except OSError:
            self.handle_close()
            return b""
        if not data:
            self.ended = True
            self.handle_close()
        return data

    def handle_close(self) -> None:
        if self._closed or not self.receive:
            super().handle_close()
            return
        self.transfer_finished = self.ended and self.cmd_channel.stands()
        if not self.transfer_finished:
            self.cmd_channel.abandon("cut_off")
            self._resp = ("426 cut_off", None)
        self.close()

    def handle_timeout(self) -> None:
        if self.get_transmitted_bytes() == self._lastdata:
            self.cmd_channel.abandon("quiet")
        super().handle_timeout()

    def _late(self) -> None:
        self.cmd_channel.abandon("transfer_timeout")
        self._resp = ("421 transfer_timeout", None)
        self.close()
        self.cmd_channel.close_when_done()

    def handle_error(self) -> None:
        problem = sys.exc_info()[1]
        met = problem.__cause__ if problem is not None else None
        if isinstance(met, Overfull):
            self.cmd_channel.abandon(met.reason)
            self._resp = (f"{552 if met.reason == 'too_large' else 452} {met.reason}", None)
        elif not isinstance(problem, OSError):
            self.cmd_channel.desk.broke(problem)
        self.close()


def nothing() -> Any:
    """An empty listing. (Under TLS pyftpdlib takes the sending of no bytes for the end of the connection.)"""
    return BufferedIteratorProducer(iter(()))
