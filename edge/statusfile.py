"""The service's last word about itself, in the runtime folder: numbers and words, for `anpr-edge status` and `doctor`.

On tmpfs under systemd, so it costs the card nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.situation import Situation, alerts, state, status_line

FILE = "status.json"


def write(runtime: Path, now: Situation, at_the_door: Mapping[str, Any]) -> None:
    """Replace the file whole; a reader never sees half of it. `at_the_door`: `refused` and `put_off` by reason, `ports`
    by way in, and the counts of the `quarantine`, or None."""
    content = status(now) | dict(at_the_door) | {"pid": os.getpid()}
    temporary = runtime / (FILE + ".new")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(runtime / FILE)


def status(now: Situation) -> dict[str, Any]:
    usage = now.usage
    return {
        "state": state(now),
        "line": status_line(now),
        "at_ms": now.at_ms,
        "session": now.session,
        "uptime_s": now.uptime_s,
        "version": now.version,
        "config": now.config_digest,
        "clock": {"state": now.clock.state.value, "bound_ms": now.clock.bound_ms},
        "buffer": {
            "records": usage.waiting,
            "bytes": usage.waiting_bytes,
            "oldest_age_s": now.oldest_age_s(),
            "used_bytes": usage.used_bytes,
            "max_bytes": usage.max_bytes,
            "drain_s": now.flow.drain_s,
            "full_s": now.flow.full_s,
            "in_bytes_per_s": round(now.flow.in_bytes_per_s),
            "out_bytes_per_s": round(now.flow.out_bytes_per_s),
            "refused": usage.refused,
            "damaged": usage.damaged,
        },
        "uplink": {
            "up": now.uplink_up,
            "problem": now.uplink_problem,
            "receipt_age_s": now.receipt_age_s,
            "acknowledge": now.acknowledge,
            "counts": dict(now.uplink),
        },
        "cameras": {name: dict(report) for name, report in now.cameras.items()},
        "alerts": [asdict(alert) for alert in alerts(now)],
    }


def read(runtime: Path) -> dict[str, Any] | None:
    """The last status, or None where the service has never run or its runtime folder is gone."""
    try:
        content = json.loads((runtime / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def alive(said: dict[str, Any]) -> bool:
    """Whether the process that wrote it is still there: after a crash the file stays."""
    return Path(f"/proc/{said.get('pid')}").exists()


def remove(runtime: Path) -> None:
    (runtime / FILE).unlink(missing_ok=True)
