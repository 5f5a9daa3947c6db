"""What doctor says of cameras: connected is not seeing, and a line that is down is said with its word."""

from __future__ import annotations

from typing import Any

import pytest

from capture.checks import deliveries
from edge.check import Level

DOWN = {"up": False, "why": "unauthorised"}
UP = {"up": True, "why": None}


@pytest.mark.parametrize(
    ("state", "link", "level"),
    [
        ("up", None, Level.GOOD),
        ("up", UP, Level.GOOD),
        ("unknown", None, Level.UNKNOWN),
        ("silent", UP, Level.BAD),
        ("unknown", DOWN, Level.BAD),
        ("up", DOWN, Level.BAD),
    ],
)
def test_a_camera_is_as_good_as_its_line(state: str, link: dict[str, Any] | None, level: Level) -> None:
    finding = deliveries({"cameras": {"a": {"state": state, "last_delivery_age_s": None, "link": link}}})
    assert finding.level is level
    assert ("unauthorised" in finding.sentence) == (link is DOWN)
