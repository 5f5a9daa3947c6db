"""Pictures that stand as base64 in a text: taken out of an XML before it is parsed, and decoded strictly. Pure.

An XML with two pictures in it is far larger than any that `capture.documents` reads, and a parser has no business with
a picture. What may not happen here: half a picture; time that is not linear in the size of the body.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from edge.errors import Refused

# It can begin only where a run begins (the lookbehind), so each byte is looked at a fixed number of times.
_RUN = re.compile(rb"(?<![A-Za-z0-9+/=\s])[A-Za-z0-9+/=\s]{1024,}")


def apart(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """The body with a short word in the place of each long run of base64, and the run by its word."""
    runs: dict[str, str] = {}

    def word(run: re.Match[bytes]) -> bytes:
        name = f"run-{len(runs)}"
        runs[name] = run[0].decode("ascii")
        return name.encode()

    return _RUN.sub(word, body), runs


def decoded(text: str | None) -> bytes:
    """The bytes of a picture in base64, with or without line breaks or a `data:` in front; empty for none.

    Raises `Refused` (`bad_base64`): a picture that was cut off is not kept.
    """
    if not text:
        return b""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None
