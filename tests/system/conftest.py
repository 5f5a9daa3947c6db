"""Sites on loopback for the tests of this folder, and the loud skip where Mosquitto is not installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_site import Site

from simulators.broker import find_mosquitto


@pytest.fixture(autouse=True)
def _mosquitto_or_skip(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("mosquitto") and find_mosquitto() is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Sites below `tmp_path`, nothing of them started; whatever they start is ended with the test."""
    with ExitStack() as down:

        def make(name: str = "site", **change: Any) -> Site:
            return down.enter_context(Site(tmp_path / name, **change))

        yield make
