"""The commands a camera needs to upload, and no others. Runs in the FTP thread only.

Every folder exists and is empty; an upload lives in memory until the receiver has answered. What may not happen here:
"226" before that answer, but for an upload that waits for its rename, which is answered for then; a file; a listing.
"""

from __future__ import annotations

from typing import Any

from capture.delivery import Answer, status_of
from capture.sources.ftp_data import nothing
from capture.sources.ftp_memory import Overfull, Path, Shelf, Upload, resolved
from capture.sources.ftp_session import Session
from edge.claim import Outcome
from edge.errors import Refused


class Uploading(Session):
    """A session that takes uploads."""

    data_channel: Any
    _in_dtp_queue: tuple[Upload, str] | None
    _out_dtp_queue: object
    _dtp_connector: Any

    def __init__(self, conn: Any, server: Any, ioloop: Any = None) -> None:
        self.folder: Path = ()
        self.shelf = Shelf(server.desk.limits.held)
        self._current: Upload | None = None
        self._renaming: Path | None = None
        self._numbered = 0
        super().__init__(conn, server, ioloop)

    def idle(self) -> bool:
        return super().idle() and self._current is None

    def close(self) -> None:
        super().close()
        self.abandon("cut_off")
        self.desk.counts["never_renamed"] += self.shelf.clear()

    # folders: every one exists

    def ftp_PWD(self, line: str) -> None:
        self.respond('257 "/{}"'.format("/".join(self.folder).replace('"', '""')))

    def ftp_CWD(self, line: str) -> None:
        self.folder = resolved(self.folder, line)
        self.respond("250 here")

    def ftp_CDUP(self, line: str) -> None:
        self.ftp_CWD("..")

    def ftp_MKD(self, line: str) -> None:
        made = "/".join(resolved(self.folder, line))
        self.respond('257 "/{}"'.format(made.replace('"', '""')))

    def ftp_LIST(self, line: str) -> None:
        """An empty folder: what was uploaded is nobody's to see."""
        if self._busy():
            return
        self.push_dtp_data(nothing(), isproducer=True, cmd="LIST")

    ftp_NLST = ftp_LIST

    def ftp_SIZE(self, line: str) -> None:
        size_bytes = self.shelf.size_bytes(resolved(self.folder, line))
        self.respond("550 no_such_file" if size_bytes is None else f"213 {size_bytes}")

    def ftp_STAT(self, line: str) -> None:
        self.respond("211 ready")

    def ftp_DELE(self, line: str) -> None:
        """Only what waits for its rename."""
        self.respond("250 gone" if self.shelf.drop(resolved(self.folder, line)) else "550 no_such_file")

    # uploads

    def ftp_TYPE(self, line: str) -> None:
        """Any: bytes are kept as they come."""
        self.respond("200 type" if line[:1].upper() in ("A", "I", "L") else "504 not_here")

    def ftp_REST(self, line: str) -> None:
        self.respond("350 from_the_start" if line.strip() == "0" else "502 not_here")

    def _make_epasv(self, extmode: bool = False) -> None:
        self.not_connected()
        try:
            super()._make_epasv(extmode)
        except OSError:
            self.desk.counts["no_passive_port"] += 1
            self.respond("425 busy")

    def _make_eport(self, ip: str, port: int) -> None:
        self.not_connected()
        super()._make_eport(ip, port)
        if self._dtp_connector is not None and self._dtp_connector._closed:
            self._dtp_connector = None  # it connected at once

    def ftp_STOR(self, line: str, mode: str = "w") -> None:
        self._receive(resolved(self.folder, line), "STOR")

    def ftp_STOU(self, line: str) -> None:
        self._numbered += 1
        path = resolved(self.folder, f"{line}{'.' if line else ''}{self._numbered:06}")
        self._receive(path, "STOU")

    def _busy(self) -> bool:
        """Whether there is nothing, or something else, on the data connection: then that is answered."""
        queued = self._in_dtp_queue is not None or self._out_dtp_queue is not None
        if queued or (self.data_channel is not None and self.data_channel._initialized):
            self.respond("450 busy")
            return True
        if self.data_channel is None and self._dtp_acceptor is None and self._dtp_connector is None:
            self.respond("425 no_data_connection")
            return True
        return False

    def _receive(self, path: Path, command: str) -> None:
        if not path:
            raise Refused("an upload without a name", reason="bad_name")
        if self._busy():
            return
        try:
            upload = Upload(path, self.desk.limits.upload_bytes, self.desk.hand)
        except Overfull:
            self.desk.counts["busy"] += 1
            self.respond("452 busy")
            return
        self._current = upload
        said = f"FILE: {path[-1]}" if command == "STOU" else "send"
        if self.data_channel is not None:
            self.respond(f"125 {said}")
            self.data_channel.file_obj = upload
            self.data_channel.enable_receiving("i", command)
        else:
            self.respond(f"150 {said}")
            self._in_dtp_queue = (upload, command)

    def not_connected(self) -> None:
        """The data connection did not come about: what waits for it must not meet the next one."""
        if not self._closed and self.data_channel is None:
            self._in_dtp_queue = self._out_dtp_queue = None
            self.abandon("no_data_connection")

    def ftp_ABOR(self, line: str) -> None:
        super().ftp_ABOR(line)
        self.not_connected()

    def on_incomplete_file_received(self, file: str) -> None:
        self.abandon("cut_off")

    def abandon(self, why: str) -> None:
        """The upload in hand comes to nothing: counted, and its bytes given back, before its answer."""
        upload, self._current = self._current, None
        if upload is not None:
            upload.give()
            self.desk.counts[why] += 1
            if why in ("cut_off", "quiet"):
                self.desk.down(self.camera, "cut" if why == "cut_off" else why)

    def on_file_received(self, file: str) -> None:
        upload, self._current = self._current, None
        assert upload is not None
        if not upload.path[-1].lower().endswith(self.desk.door.temporary):
            self._deliver(upload, upload.path, "226")
        elif self.shelf.hold(upload):
            self.respond("226 held until it is renamed")
        else:
            self.desk.counts["busy"] += 1
            self.respond("452 busy")

    def ftp_RNFR(self, line: str) -> None:
        path = resolved(self.folder, line)
        known = self.shelf.held(path) is not None or self.shelf.stored(path)
        self._renaming = path if known else None
        self.respond("350 to_what" if known else "550 no_such_file")

    def ftp_RNTO(self, line: str) -> None:
        path, (was, self._renaming) = resolved(self.folder, line), (self._renaming, None)
        if was is None or not path:
            self.respond("503 rename_from_first")
            return
        upload = self.shelf.take(was)
        if upload is not None:
            upload.path = was
            self._deliver(upload, path, "250")
            return
        self.desk.counts["renamed_late"] += 1  # it is stored under its first name
        self.respond("250 stored")

    def _deliver(self, upload: Upload, path: Path, good: str) -> None:
        self.pause()

        def done(answer: Answer | None) -> None:
            later = answer is None or answer.verdict.outcome is Outcome.LATER
            kept = later and good == "250" and not self._closed and self.shelf.hold(upload)
            size_bytes = upload.size_bytes
            if not kept:
                upload.give()
            if self._closed:
                return
            if answer is not None and answer.verdict.outcome not in (Outcome.LATER, Outcome.REFUSED):
                self.shelf.note_stored(path, size_bytes)
                self.desk.up(self.camera)
            self.respond(spoken(answer, good))
            self.go_on()

        self.desk.deliver(self.camera, self.address, upload, path, done)


def spoken(answer: Answer | None, good: str) -> str:
    """The FTP answer for a verdict: 4xx where the camera may come again with it, 55x where it need not."""
    if answer is None:
        return "451 later"
    verdict = answer.verdict
    if verdict.outcome is Outcome.LATER:
        return f"{452 if verdict.reason == 'busy' else 451} {verdict.reason or 'later'}"
    if verdict.outcome is Outcome.REFUSED:
        return f"{ {403: 550, 413: 552}.get(status_of(verdict), 553) } {verdict.reason}"
    return f"{good} {verdict.outcome.value}"
