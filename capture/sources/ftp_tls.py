"""FTP under TLS (explicit: AUTH TLS). Needs pyOpenSSL, which not every node has.

What may not happen here: a password in clear where TLS is required; a fault of ours made of a peer's broken TLS.
"""

from __future__ import annotations

import sys
from typing import Any

from OpenSSL import SSL  # type: ignore[import-not-found,unused-ignore]
from pyftpdlib import ioloop  # type: ignore[import-untyped]  # first: it silences asyncore's deprecation
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler  # type: ignore[import-untyped]

from capture.sources.ftp_data import Data
from capture.sources.ftp_desk import FtpTls
from capture.sources.ftp_upload import Uploading
from edge.errors import Misconfigured


class TlsData(Data, TLS_DTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
    """A data connection, under TLS where the camera has asked for that."""

    def recv(self, buffer_size: int) -> bytes:
        try:
            return super().recv(buffer_size)
        except SSL.WantReadError:
            self._ssl_want_read = True
            raise ioloop._RetryError from None
        except SSL.WantWriteError:
            self._ssl_want_write = True
            raise ioloop._RetryError from None
        except SSL.ZeroReturnError:
            self.ended = True
        except SSL.SysCallError as problem:
            self.ended = problem.args == (-1, "Unexpected EOF")  # many close without saying so to TLS
        except SSL.Error:
            self.cmd_channel.desk.counts["garbage"] += 1
        self.handle_close()
        return b""

    def handle_error(self) -> None:
        if isinstance(sys.exc_info()[1], SSL.Error):
            self.cmd_channel.desk.counts["garbage"] += 1
            self._error = True
            self.close()
        else:
            super().handle_error()


class TlsUploading(Uploading, TLS_FTPHandler):  # type: ignore[misc]
    """A session that can be put under TLS."""

    dtp_handler = TlsData

    def log_exception(self, instance: object) -> None:
        if isinstance(sys.exc_info()[1], SSL.Error):
            self.desk.counts["garbage"] += 1
        else:
            super().log_exception(instance)

    def _bare(self) -> Any:
        return self.socket._socket if isinstance(self.socket, SSL.Connection) else self.socket


def under_tls(tls: FtpTls) -> type[Uploading]:
    """The kind of session for a door with that certificate. Raises `Misconfigured`."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    try:
        context.use_certificate_chain_file(str(tls.certificate))
        context.use_privatekey_file(str(tls.key))
        context.check_privatekey()
    except SSL.Error:
        raise Misconfigured(
            "the certificate of the FTP door cannot be used",
            "capture.ftp_drop.certificate and key: PEM, belonging together, readable by the service",
        ) from None
    settings = {
        "ssl_context": context,
        "tls_control_required": tls.required,
        "tls_data_required": tls.required,
        "__doc__": "A session of one door.",
    }
    return type("DoorUploading", (TlsUploading,), settings)
