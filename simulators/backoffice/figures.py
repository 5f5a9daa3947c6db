"""Answers questions about what is held, over a read-only connection of its own.

It changes nothing and gives no plate to the figures; only `newest_reads`, for the page, holds any.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.backoffice import chain
from simulators.backoffice.chain import EpochReport, Join
from simulators.backoffice.chains import Chains
from simulators.backoffice.intake import Intake, is_old_loss
from simulators.backoffice.store import Store

PAGE_READS: Final = 12
MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class ShownRead:
    """One read as the page shows it; images are row numbers for /image/."""

    node: str
    camera: str
    lane: str | None
    vrm: str | None = field(repr=False)
    captured_ms: int
    test: int
    patch: int | None
    overview: int | None


class Figures:
    """Everything that the pages tell."""

    def __init__(self, store: Store, chains: Chains, intake: Intake) -> None:
        self._uri = f"{store.path.resolve().as_uri()}?mode=ro"
        self._chains, self._intake = chains, intake

    def figures(self) -> dict[str, Any]:
        """Give all counts, in total and by node."""
        now_ms = time.time_ns() // 1_000_000
        reports = self._chains.reports()
        with self._reading() as db:
            names = {row[0] for row in db.execute("SELECT node FROM routes")} | reports.keys()
            nodes = {name: _node(db, name, reports.get(name, ()), now_ms) for name in sorted(names)}
            refused = dict(db.execute("SELECT code, count(*) FROM refusals GROUP BY code"))
        totals = {key: sum(node[key] for node in nodes.values()) for key in _SUMMED}
        return {
            **totals,
            "refused": refused,
            "over_cap": refused.get("over_cap", 0),
            "unverified": refused.get("unverified", 0) + refused.get("unknown_key", 0),
            "dropped": self._intake.dropped,
            "latency_ms": _percentiles(self._intake.latencies_ms()),
            "nodes": nodes,
        }

    def missing(self) -> dict[str, Any]:
        """Give by node and epoch which numbers are not held, and every other finding of the chain."""
        return {
            node: {report.epoch.hex(): _epoch(report) for report in reports}
            for node, reports in sorted(self._chains.reports().items())
        }

    def vendor_ids(self) -> list[list[object]]:
        """Give each camera-made passage identity and how many records hold it."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT vendor_id, count(*) FROM records WHERE vendor_id IS NOT NULL GROUP BY vendor_id ORDER BY 1"
            )
            return [list(row) for row in rows]

    def newest_reads(self) -> list[ShownRead]:
        """Give the reads stored last, the newest first."""
        with self._reading() as db:
            rows = db.execute(_NEWEST, (PAGE_READS,)).fetchall()
        return [ShownRead(*row) for row in rows]

    def image(self, number: int) -> bytes | None:
        """Give one JPEG by its row number."""
        with self._reading() as db:
            row = db.execute("SELECT jpeg FROM images WHERE id = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self._uri, uri=True)
        try:
            yield db
        finally:
            db.close()


_SUMMED: Final = (
    "reads",
    "overviews",
    "acts",
    "duplicates",
    "gaps",
    "tail_missing",
    "head_differs",
    "broken_links",
    "rollbacks",
    "shed",
    "set_aside",
)
_NEWEST: Final = """
SELECT r.node, r.camera, r.lane, r.vrm, r.captured_ms, r.test,
    (SELECT id FROM images WHERE record = r.id AND role = 'plate_patch'),
    (SELECT i.id FROM records o JOIN images i ON i.record = o.id
     WHERE o.node = r.node AND o.epoch = r.epoch AND o.overview_of = r.seq LIMIT 1)
FROM records r WHERE r.kind = 'read' ORDER BY r.id DESC LIMIT ?"""


def _node(db: sqlite3.Connection, name: str, reports: tuple[EpochReport, ...], now_ms: int) -> dict[str, Any]:
    kinds = dict(db.execute("SELECT kind, count(*) FROM records WHERE node = ? GROUP BY kind", (name,)))
    recent = db.execute(
        "SELECT count(*) FROM records WHERE node = ? AND kind = 'read' AND stored_ms > ?", (name, now_ms - MINUTE_MS)
    ).fetchone()[0]
    repeated = db.execute("SELECT times FROM duplicates WHERE node = ?", (name,)).fetchone()
    notices = {
        topic: (json.loads(text), arrived_ms)
        for topic, text, arrived_ms in db.execute("SELECT topic, json, arrived_ms FROM notices WHERE node = ?", (name,))
    }
    return {
        **_condition(notices, now_ms),
        "reads": kinds.get("read", 0),
        "overviews": kinds.get("overview", 0),
        "acts": kinds.get("act", 0),
        "reads_per_minute": recent,
        "duplicates": repeated[0] if repeated else 0,
        "refused": dict(db.execute("SELECT code, count(*) FROM refusals WHERE node = ? GROUP BY code", (name,))),
        "gaps": sum(chain.count(report.missing) for report in reports),
        "tail_missing": sum(chain.count(report.tail_missing) for report in reports),
        "head_differs": sum(len(report.head_differs) for report in reports),
        "broken_links": sum(len(report.broken) + (report.join is Join.BROKEN) for report in reports),
        "rollbacks": sum(report.join is Join.ROLLED_BACK for report in reports),
        "shed": sum(chain.count(report.shed) for report in reports),
        "set_aside": sum(report.join is Join.SET_ASIDE for report in reports),
    }


def _condition(notices: dict[str, tuple[dict[str, Any], int]], now_ms: int) -> dict[str, Any]:
    """What the node's JSON says, with `lost` read as the contract has it."""
    nothing: tuple[dict[str, Any], int] = ({}, 0)
    state, birth = notices.get("state", nothing)[0], notices.get("birth", nothing)[0]
    word = state.get("state")
    if not isinstance(word, str) or is_old_loss(state, birth):
        word = "unknown"
    session = birth.get("session", state.get("session"))
    beat_ms = notices["heartbeat"][1] if "heartbeat" in notices else None
    listed = birth.get("cameras")
    cameras = listed if isinstance(listed, list) else []
    names = [c["id"] for c in cameras if isinstance(c, dict) and isinstance(c.get("id"), str)]
    health = {t.removeprefix("health/camera/"): n[0] for t, n in notices.items() if t.startswith("health/camera/")}
    return {
        "state": word,
        "session": session if isinstance(session, int) else None,
        "heartbeat_age_s": None if beat_ms is None else max(0, now_ms - beat_ms) // 1000,
        "cameras": {
            camera: "unknown" if word == "lost" else str(health.get(camera, {}).get("state", "unknown"))
            for camera in sorted({*names, *health})
        },
        "alerts": sorted(topic.removeprefix("alert/") for topic in notices if topic.startswith("alert/")),
    }


def _epoch(report: EpochReport) -> dict[str, Any]:
    return {
        "highest": report.highest,
        "held": report.held,
        "missing": report.missing,
        "tail_missing": report.tail_missing,
        "shed": report.shed,
        "broken": report.broken,
        "head_differs": report.head_differs,
        "run_to": report.run_to,
        "head": report.run_head.hex() if report.run_head else None,
        "join": report.join.value,
    }


def _percentiles(samples: list[int]) -> dict[str, int | None]:
    """Nearest-rank percentiles, or nulls without a sample."""
    ordered = sorted(samples)
    ranks = {"p50": 50, "p99": 99}
    return {name: ordered[-(-len(ordered) * rank // 100) - 1] if ordered else None for name, rank in ranks.items()}
