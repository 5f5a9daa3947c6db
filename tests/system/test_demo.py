"""The demo's command, as a newcomer runs it: every event of every camera arrives, once, lawful and verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from whole_site import ROOT

LIMIT_S = 180


@pytest.mark.parametrize("kind", ["amqtt", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def test_demo_accounts_for_every_event(kind: str) -> None:
    demo = subprocess.run(
        [sys.executable, "-m", *f"simulators site --reads 60 --rate 20 --exit --port 0 --broker {kind}".split()],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"NO_COLOR": "1"},
        timeout=LIMIT_S,
    )
    assert demo.returncode == 0, demo.stderr
    account = json.loads(demo.stdout.splitlines()[-1])
    assert account["captured"] == 60
    assert account["stored"] == account["captured"]
    wrong = {name: account[name] for name in ("lost", "duplicates", "over_cap", "unverified")}
    assert not any(wrong.values()), wrong
    assert account["p50_ms"] is not None
    assert account["page"].startswith("http://127.0.0.1:")
    assert "\x1b" not in demo.stdout + demo.stderr
