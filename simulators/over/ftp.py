"""Events as files that are uploaded by FTP; "226" is the acknowledgement.

Folders are made before each upload, and that they are there already is no fault. Uploads go under their last name at
once: half a file can be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
import socket
import struct
import time
from pathlib import PurePosixPath

from simulators.over.carrier import Attempt, Heard, Temper
from simulators.vendors.telling import Message, Telling

ANSWER_LIMIT_S = 10.0
BLOCK_BYTES = 8192
STORED = 226


class FtpDrop:
    """One session for all uploads, or with the habit not to keep it one for each."""

    acknowledges: str | None = "ftp"
    parallel = 1

    def __init__(self, temper: Temper, host: str, port: int, source: str, login: tuple[str, str]) -> None:
        self._temper = temper
        self._peer = (host, port)
        self._source = source
        self._login = login
        self._ftp: ftplib.FTP | None = None
        self._left: list[ftplib.FTP] = []

    async def open(self) -> dict[str, object]:
        return {}

    async def awaited(self) -> None:
        return

    async def carry(self, telling: Telling) -> Heard:
        temper = self._temper
        deadline = time.monotonic() + temper.habits.retry_for_s
        tries = sent = 0
        status: int | None = None
        for message in telling.messages:
            status, taken, more = await temper.insist(self._attempt(message), deadline)
            tries, sent = tries + more, sent + more * len(message.body)
            if not taken:
                refused = status is not None and status >= 500
                return Heard("refused" if refused else "gave_up", status, tries, sent)
        if temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for message in telling.messages:
                await self._upload(message)
        return Heard("stored", status, tries, sent)

    async def beat(self, message: Message) -> bool:
        return (await self._upload(message))[1]

    async def stray(self, message: Message | None) -> None:
        """A file that is no read, as cameras leave them to see whether the server is there."""
        await self._upload(message or Message(b"test\r\n", "text/plain", "ftp_test.txt"))

    async def close(self) -> None:
        for ftp in self._left:
            ftp.close()
        if self._ftp is not None:
            with contextlib.suppress(*ftplib.all_errors):
                await asyncio.to_thread(self._ftp.quit)
            self._ftp.close()

    def _attempt(self, message: Message) -> Attempt:
        return self._temper.cutting(lambda: self._upload(message), lambda: self._cut(message))

    async def _upload(self, message: Message) -> tuple[int | None, bool]:
        return await asyncio.to_thread(self._upload_now, message)

    async def _cut(self, message: Message) -> None:
        await asyncio.to_thread(self._cut_now, message)

    def _upload_now(self, message: Message) -> tuple[int | None, bool]:
        """The number that the server answered, None where it did not."""
        bytes_per_s = self._temper.habits.bytes_per_s

        def rest(block: bytes) -> None:
            if bytes_per_s:
                time.sleep(len(block) / bytes_per_s)

        block = min(BLOCK_BYTES, max(1, bytes_per_s // 20)) if bytes_per_s else BLOCK_BYTES
        try:
            ftp = self._session()
            name = self._in_folder(ftp, message.path)
            answer = ftp.storbinary(f"STOR {name}", io.BytesIO(message.body), block, rest)
        except ftplib.Error as problem:
            status = _number(str(problem))
            if status == 421:
                self._forget()
            return status, False
        except (OSError, EOFError):
            self._forget()
            return None, False
        self._after()
        return _number(answer), _number(answer) == STORED

    def _cut_now(self, message: Message) -> None:
        """Half a file, and then both connections are broken off, so that the end is none of the file's."""
        with contextlib.suppress(*ftplib.all_errors):
            ftp = self._session()
            name = self._in_folder(ftp, message.path)
            data = ftp.transfercmd(f"STOR {name}")
            data.sendall(message.body[: len(message.body) // 2])
            for each in (data, ftp.sock):
                if each is not None:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if ftp.sock is not None:
                ftp.sock.close()
            data.close()
        self._forget()

    def _session(self) -> ftplib.FTP:
        """Raises what ftplib raises."""
        if self._ftp is None:
            ftp = ftplib.FTP(timeout=ANSWER_LIMIT_S, source_address=(self._source, 0), encoding="utf-8")
            try:
                ftp.connect(*self._peer)
                ftp.login(*self._login)
            except ftplib.all_errors:
                ftp.close()
                raise
            self._ftp = ftp
            self._temper.counts["connections"] += 1
        return self._ftp

    def _in_folder(self, ftp: ftplib.FTP, path: str) -> str:
        """Go to the file's folder, making what is missing; returns the file's name."""
        whole = PurePosixPath(path)
        ftp.cwd("/")
        for part in whole.parent.parts:
            with contextlib.suppress(ftplib.error_perm):  # it is there already
                ftp.mkd(part)
            ftp.cwd(part)
        return whole.name

    def _after(self) -> None:
        if self._ftp is None or self._temper.habits.keep_alive:
            return
        if self._temper.happens(self._temper.habits.left_open):
            self._temper.counts["left_open"] += 1
            self._left.append(self._ftp)
            self._ftp = None
            return
        with contextlib.suppress(*ftplib.all_errors):
            self._ftp.quit()
        self._forget()

    def _forget(self) -> None:
        if self._ftp is not None:
            self._ftp.close()
            self._ftp = None


def _number(answer: str) -> int | None:
    return int(answer[:3]) if answer[:3].isdigit() else None
