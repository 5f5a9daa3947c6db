"""Which program this is."""

from __future__ import annotations

import ssl
import sys
from importlib import metadata

from edge.schema import require_sqlite

try:
    VERSION = metadata.version("anpr-edge")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0"


def software() -> dict[str, str]:
    """The versions that decide how the node behaves, for its birth message."""
    return {
        "anpr_edge": VERSION,
        "python": sys.version.split()[0],
        "sqlite": require_sqlite(),
        "openssl": ssl.OPENSSL_VERSION,
    }
