"""The checks of this room: the door the cameras push to, and whether each camera delivers.

Connected is not seeing: a camera that answers and delivers nothing is bad, not good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from edge.check import Finding, Level, bad, good

ASK_WITHIN_S = 5.0


async def door(host: str, port: int) -> Finding:
    """A request through the real door, from this machine. `host`: where it listens."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    at = everywhere.get(host, f"[{host}]" if ":" in host else host)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_WITHIN_S)) as session,
            session.get(f"http://{at}:{port}/healthz") as answer,
        ):
            if answer.status == 200:
                return good(f"cameras are answered on port {port}")
            return bad(f"port {port} answers with {answer.status}", "something else may listen there: ss -ltnp")
    except (aiohttp.ClientError, TimeoutError):
        return bad(f"nothing answers on port {port}", "check capture.http_push.listen: ss -ltnp")


def deliveries(status: Mapping[str, Any]) -> Finding:
    """Each camera's state, worst first."""
    said = {name: (_level(camera), camera) for name, camera in status["cameras"].items()}
    worst = max((level for level, _ in said.values()), default=Level.UNKNOWN, key=_SEVERITY.index)
    sentence = "; ".join(f"{name} {_words(camera)}" for name, (_, camera) in said.items()) or "no camera"
    hints = {
        Level.BAD: "power and cable first, then the camera's own settings: docs/cameras.md; words for a line that is"
        " down: docs/field-guide.md#camera-link",
        Level.UNKNOWN: "wait for a vehicle, or send a test from the camera's own page",
    }
    return Finding(worst, sentence, hints.get(worst, ""))


def clocks(status: Mapping[str, Any], poor_ms: int) -> Finding:
    """Each camera's clock against the node's, as its last delivery showed it."""
    skews = {
        name: camera["clock_skew_ms"]
        for name, camera in status["cameras"].items()
        if camera["clock_skew_ms"] is not None
    }
    if not skews:
        return Finding(Level.UNKNOWN, "no camera has given its time yet", "wait for a vehicle")
    sentence = "; ".join(f"{name} {skew_ms / 1000:+.1f} s" for name, skew_ms in skews.items())
    if any(abs(skew_ms) > poor_ms for skew_ms in skews.values()):
        return Finding(Level.POOR, sentence, "set the camera's clock and zone; until then reads say what they rest on")
    return good(sentence)


def refusals(status: Mapping[str, Any]) -> Finding:
    """What was turned away since the start, by reason."""
    refused = status.get("refused", {})
    if not refused:
        return good("nothing was refused since the start")
    sentence = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
    return Finding(
        Level.POOR, f"refused since the start: {sentence}", "each reason is explained in docs/field-guide.md#refusals"
    )


_LEVELS = {"up": Level.GOOD, "silent": Level.BAD, "down": Level.BAD, "unknown": Level.UNKNOWN}
_SEVERITY = [Level.GOOD, Level.POOR, Level.UNKNOWN, Level.BAD]


def _level(camera: Mapping[str, Any]) -> Level:
    return Level.BAD if _line_down(camera) else _LEVELS[camera["state"]]


def _line_down(camera: Mapping[str, Any]) -> str:
    """Why the node's line to the camera is down; empty where it is up, or there is none."""
    link = camera["link"]
    return "" if link is None or link["up"] else str(link["why"])


def _words(camera: Mapping[str, Any]) -> str:
    age_s = camera["last_delivery_age_s"]
    heard = "has not delivered yet" if age_s is None else f"delivered {age_s} s ago"
    why = _line_down(camera)
    return f"{camera['state']}, {heard}" + (f", its line is down ({why})" if why else "")
