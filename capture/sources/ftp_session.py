"""One camera's FTP connection: admission, lines, login, one answer after the other. Runs in the FTP thread only.

pyftpdlib keeps the protocol's state and its sockets; what it does with names, logins and logs is replaced. What may not
happen here: a name or an address in a log; one session waiting for another's answer; a connection without a deadline.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from pyftpdlib import ioloop  # type: ignore[import-untyped]  # first: it silences asyncore's deprecation
from pyftpdlib.handlers import FTPHandler  # type: ignore[import-untyped]

from capture.sources.ftp_data import Active, Data, Passive
from capture.sources.ftp_desk import Desk, Talking
from edge.errors import Refused

_BEFORE_LOGIN = frozenset({"USER", "PASS", "QUIT", "FEAT", "SYST", "NOOP", "AUTH", "PBSZ", "PROT"})
_FOLDERS = frozenset({"CDUP", "CWD", "LIST", "MKD", "NLST", "PWD", "SIZE", "XCUP", "XCWD", "XMKD", "XPWD"})
_TRANSFER = frozenset({"ALLO", "EPRT", "EPSV", "MODE", "OPTS", "PASV", "PORT", "STAT", "STRU", "TYPE"})
_UPLOAD = frozenset({"ABOR", "DELE", "REST", "RNFR", "RNTO", "STOR", "STOU"})
_AFTER_LOGIN = _FOLDERS | _TRANSFER | _UPLOAD
_REFUSED = frozenset({"APPE", "RETR", "MDTM", "MFMT", "MLSD", "MLST", "RMD", "XRMD", "SITE", "HELP", "REIN"})
_WANT_ARGUMENT = frozenset({"CWD", "XCWD", "MKD", "XMKD", "STOR", "RNFR", "RNTO", "SIZE", "DELE", "PORT", "EPRT"})
_UNREAD_ANSWERS = 8  # beyond what the kernel holds
_UNDONE_COMMANDS = 32
_LINE_BYTES = 2048
_SPARED_S = 1.0


class Session(FTPHandler):  # type: ignore[misc]
    """One control connection."""

    authenticated: bool
    _in_buffer: list[bytes]

    active_dtp = Active
    passive_dtp = Passive
    dtp_handler = Data
    banner = "ready"
    unicode_errors = "strict"
    proto_cmds = {  # noqa: RUF012  # what FEAT and OPTS look into
        name: each for name, each in FTPHandler.proto_cmds.items() if name in _BEFORE_LOGIN | _AFTER_LOGIN - {"REST"}
    }

    def __init__(self, conn: Any, server: Any, ioloop: Any = None) -> None:
        self.desk: Desk = server.desk
        self.timeout = self.desk.limits.idle_s
        ports = self.desk.door.passive_ports
        self.passive_ports = None if ports is None else list(range(ports[0], ports[1] + 1))
        self.masquerade_address = self.desk.door.masquerade
        self.camera = ""
        self.heard_at_s = 0.0
        self.waiting = False
        self._undone: list[bytes] = []
        super().__init__(conn, server, ioloop)
        if self.connected:
            self.set_terminator(b"\n")  # some cameras leave out the CR
            self.call_later(self.desk.limits.login_s, self._login_late)

    @property
    def address(self) -> str:
        """The camera's, an IPv4 one without the dress that a dual-stack socket puts on it."""
        return str(self.remote_ip).removeprefix("::ffff:")

    # what pyftpdlib would log

    def log(self, msg: str, logfun: object = None) -> None:
        """Nothing: names, addresses and folders."""

    logline = log

    def log_cmd(self, *_: object) -> None:
        """Nothing."""

    def log_transfer(self, **_: object) -> None:
        """Nothing."""

    def log_exception(self, instance: object) -> None:
        problem = sys.exc_info()[1]
        if isinstance(problem, OSError):
            self.desk.counts["network"] += 1  # a host that cannot be reached any more
        else:
            self.desk.broke(problem)

    # its life

    def _on_dtp_close(self) -> None:
        if self._closed:
            return
        if self.waiting:
            self.data_channel = None  # the rest of it follows when the answer is there
        else:
            super()._on_dtp_close()

    def on_connect(self) -> None:
        self.heard_at_s = ioloop.timer()
        refusal = self._not_admitted()
        if refusal:
            self.desk.counts[refusal] += 1
            self.respond(f"421 {refusal}")
            self.close_when_done()
            return
        self.desk.sessions.add(self)

    def _not_admitted(self) -> str:
        desk, limits = self.desk, self.desk.limits
        if not desk.knows(self.address):
            return "unknown_source"
        same = [each for each in desk.sessions if each.remote_ip == self.remote_ip]
        if len(same) >= limits.per_source and not self._make_room(same):
            return "too_many_of_source"
        if len(desk.sessions) >= limits.total and not self._make_room(list(desk.sessions)):
            return "too_many"
        return ""

    def _make_room(self, among: list[Talking]) -> bool:
        """End the session that has been idle longest: some cameras never end one, and a cut cable ends none."""
        longest = min(filter(_idle, among), key=lambda each: each.heard_at_s, default=None)
        if longest is None or ioloop.timer() - longest.heard_at_s < _SPARED_S:
            return False
        self.desk.counts["idle_replaced"] += 1
        longest.close()
        return True

    def _login_late(self) -> None:
        if not self.authenticated:
            self.desk.counts["login_timeout"] += 1
            self.respond("421 login_timeout")
            self.close_when_done()

    def handle_timeout(self) -> None:
        if self.waiting:
            self._idler = self.ioloop.call_later(self.timeout, self.handle_timeout, _errback=self.handle_error)
            return
        self.desk.counts["idle_timeout"] += 1
        super().handle_timeout()

    def close(self) -> None:
        super().close()
        self.desk.sessions.discard(self)

    def stop(self) -> None:
        """Say goodbye, unless an upload or its answer is on the way."""
        if self.idle() and not self._closing:
            self.respond("421 stopping")
            self.close_when_done()

    def idle(self) -> bool:
        """Whether neither an answer nor an upload is on the way."""
        return not self.waiting

    def stands(self) -> bool:
        """Whether the camera is still there and has not just asked to abort: an upload ends by the same closing of a
        connection that a dying camera makes."""
        try:
            pending = self._bare().recv(_LINE_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(pending) and b"ABOR" not in pending.upper()

    def _bare(self) -> Any:
        return self.socket

    # commands

    def collect_incoming_data(self, data: bytes) -> None:
        self._in_buffer.append(data)
        self._in_buffer_len += len(data)
        if self._in_buffer_len > _LINE_BYTES:
            self.desk.counts["garbage"] += 1
            self._in_buffer.clear()
            self.close()

    def found_terminator(self) -> None:
        line = b"".join(self._in_buffer).rstrip(b"\r")
        self._in_buffer, self._in_buffer_len = [], 0
        if self._closed or self._closing or self._quit_pending:
            return
        self.heard_at_s = ioloop.timer()
        if len(self.producer_fifo) > _UNREAD_ANSWERS or len(self._undone) >= _UNDONE_COMMANDS:
            self.desk.counts["garbage"] += 1
            self.close()
        elif self.waiting:
            self._undone.append(line)
        else:
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        if self._idler is not None and not self._idler.cancelled:
            self._idler.reset()
        cmd, _, arg = decoded(line).partition(" ")
        self.pre_process_command("", cmd.upper(), arg)

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        if cmd[-4:] in ("ABOR", "QUIT", "STAT"):
            cmd = cmd[-4:]  # Telnet's signals stand before it
        if cmd in _REFUSED:
            self.respond("502 not_here")
        elif cmd not in _BEFORE_LOGIN | _AFTER_LOGIN or not hasattr(self, f"ftp_{cmd}"):
            self.respond("500 not_understood")
        elif cmd in _AFTER_LOGIN and not self.authenticated:
            self.respond("530 log_in")
        elif cmd in _WANT_ARGUMENT and not arg:
            self.respond("501 wants_an_argument")
        else:
            try:
                self.process_command(cmd, arg)
            except Refused as refused:
                self.respond(f"553 {refused.reason}")

    def pause(self) -> None:
        """Read no command until an answer is there: answers come in the order of the commands."""
        self.waiting = True
        if self._fileno in self.ioloop.socket_map:
            self.ioloop.modify(self._fileno, 0)

    def go_on(self) -> None:
        self.waiting = False
        if self._quit_pending:
            self.close_when_done()
            return
        self.heard_at_s = ioloop.timer()
        if self._fileno in self.ioloop.socket_map:
            self.ioloop.modify(self._fileno, self._wanted_io_events)
        if self._idler is None or self._idler.cancelled:
            self._idler = self.ioloop.call_later(self.timeout, self.handle_timeout, _errback=self.handle_error)
        while self._undone and not (self.waiting or self._closed or self._closing):
            self._obey(self._undone.pop(0))

    # login

    def ftp_USER(self, line: str) -> None:
        if self.authenticated:
            self.respond("530 logged_in")
            return
        self.username = line
        self.respond("331 password")

    def ftp_PASS(self, line: str) -> None:
        if self.authenticated or not self.username:
            self.respond("503 user_first")
            return
        camera = self.desk.camera_of(self.username, line, self.address)
        self.username = ""
        if camera is None:
            self.pause()
            self.call_later(self.desk.login_pause_s(self.address), self._wrong_login)
            return
        self.camera, self.authenticated = camera, True
        self.respond("230 welcome")

    def _wrong_login(self) -> None:
        self.attempted_logins += 1
        self.respond("530 wrong_login")
        if self.attempted_logins >= self.desk.limits.login_attempts:
            self.close_when_done()
        else:
            self.go_on()


def _idle(session: Talking) -> bool:
    return session.idle()


def decoded(line: bytes) -> str:
    """A command as text; what is no UTF-8 is read as Latin-1, in which every byte is something."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
