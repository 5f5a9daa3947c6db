"""Errors, sorted by who must act. Each carries a sentence (what is wrong, where) and a hint (what to do next).

No plate, image, key or stream address may stand in a sentence or a hint: both reach logs, answers and screens.
"""

from __future__ import annotations


class EdgeError(Exception):
    """Something the node can name. `sentence` says what is wrong and where; `hint` says what to do, or is empty."""

    exit_code = 1

    def __init__(self, sentence: str, hint: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.hint = hint


class Refused(EdgeError):
    """The sender's: undecodable, not admitted, cannot fit. `reason` is a stable snake_case word, counted by it."""

    exit_code = 65

    def __init__(self, sentence: str, hint: str = "", *, reason: str) -> None:
        super().__init__(sentence, hint)
        self.reason = reason


class Unavailable(EdgeError):
    """The world's: ledger full, disk gone, broker away. Trying later may help."""

    exit_code = 75


class Misconfigured(EdgeError):
    """The operator's: the configuration, a key or a certificate. systemd does not restart on it."""

    exit_code = 78


class Tampered(EdgeError):
    """Evidence does not verify. Nothing is repaired silently."""

    exit_code = 65


class StorageFailed(EdgeError):
    """The disk failed under the ledger. The process ends and opens anew; the same handle is never tried again,
    because after a failed fsync it tells nothing that can be believed (security.md 3.4)."""

    exit_code = 75
