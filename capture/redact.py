"""A delivery as text alone: every picture cut out, whatever hides it. Pure.

For the quarantine. What may not happen here: a picture, or half of one, in what is returned; more than the bound.
"""

from __future__ import annotations

import re

MOST_BYTES = 32 * 1024
"""The largest document without pictures in any capture is 6 kB; a format that needs more shows itself in its first."""

# Text in UTF-8 or an older charset: what is left between two runs of it is a picture.
_TEXT = re.compile(rb"[\t\r\n\x20-\x7e]{24,}")
_SHORT_BYTES = 40
"""A gap this short between texts is a word in another script. The smallest JPEG a decoder takes is over 100 bytes."""

# Base64 with or without line breaks and escaped slashes, and hexadecimal: no plate, name or number is this long.
_CODED = re.compile(rb"(?:[A-Za-z0-9+/=_%-]|\\/|\\?[\r\n]+|\\[rn]){160,}")


def text_only(body: bytes) -> bytes:
    """The texts in a body in their order, each picture replaced by its length, at most `MOST_BYTES`."""
    kept: list[bytes] = []
    at = 0
    for run in _TEXT.finditer(body):
        kept += [_gap(body[at : run.start()]), _CODED.sub(_length, run[0])]
        at = run.end()
    kept.append(_gap(body[at:]))
    whole = b"".join(kept)
    return whole if len(whole) <= MOST_BYTES else whole[:MOST_BYTES] + b"[cut off here]"


_MARK = re.compile(rb"\[\d+ (?:bytes|characters)\]")


def unmarked(text: bytes) -> bytes:
    """The texts alone, without the marks that stand for pictures: a picture that is empty is one that was not sent."""
    return _MARK.sub(b"", text)


def _gap(data: bytes) -> bytes:
    if len(data) <= _SHORT_BYTES:
        return data
    return b"[%d bytes]" % len(data)


def _length(found: re.Match[bytes]) -> bytes:
    return b"[%d characters]" % len(found[0])
