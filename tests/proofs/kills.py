"""`python -m tests.proofs kills [--kills N] [--kind amqtt|mosquitto]`: the whole node, killed without warning.

The site of tests/system: broker, back office, cameras and the node as processes on loopback. What a camera heard
stored must be at the back office, once, with every number and every link.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.proofs.figures import say
from tests.proofs.pieces import workplace

SYSTEM = Path(__file__).resolve().parents[1] / "system"


def main(argv: list[str]) -> int:
    """0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--kind", choices=("amqtt", "mosquitto"), default="amqtt")
    given = parser.parse_args(argv)
    began = time.monotonic()
    sys.path.insert(0, str(SYSTEM))
    storm, whole_site = import_module("test_kill"), import_module("whole_site")
    with workplace() as folder, whole_site.Site(folder / "site", kind=given.kind) as site:
        figures = _stormed(site, storm, whole_site.until, given.seed, given.kills)
    say({"proof": "kills", "kind": given.kind, "seed": given.seed, "kills": given.kills, **figures}, began)
    good = not (figures["missing"] or figures["twice"] or any(figures["store"].values()))
    return int(not good)


def _stormed(site: Any, storm: Any, until: Any, seed: int, kills: int) -> dict[str, Any]:
    site.start_broker()
    site.start_backoffice()
    cameras = [site.start_camera(each, "--rate", "3", "--heartbeat", "1") for each in site.mounted]
    print(f"{kills} kills, some 1.5 s each", file=sys.stderr, flush=True)
    ready = storm.killed(site, seed, kills)
    storm.finish(site, cameras)
    until("a heartbeat's word on the tail", lambda: site.ask("figures")["tail_missing"] == 0)
    stored, held, figures = set().union(*(c.stored() for c in cameras)), site.held(), site.ask("figures")
    return {
        "heard_stored": len(stored),
        "missing": len(stored - held.keys()),
        "twice": sum(times != 1 for times in held.values()),
        "tries_again": sum(line["tries"] > 1 for c in cameras for line in c.heard()),
        "starts": len(ready),
        "store": {name: figures[name] for name in storm.REPORTED},
    }
