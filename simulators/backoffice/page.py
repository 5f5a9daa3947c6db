"""Serves one plain page about what is held, its pictures, and the same figures as JSON.

Every word that came over the wire is escaped, and the page may load nothing but its own pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib import resources
from string import Template
from typing import Any, Final

from aiohttp import web

from simulators.backoffice.figures import Figures, ShownRead

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def make_app(figures: Figures) -> web.Application:
    """Give the application with all its addresses."""
    template = Template(resources.files(__package__).joinpath("page.html").read_text("utf-8"))

    async def index(request: web.Request) -> web.Response:
        reads, numbers = await asyncio.to_thread(lambda: (figures.newest_reads(), figures.figures()))
        text = render(template, reads, numbers)
        return web.Response(body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8")

    async def image(request: web.Request) -> web.Response:
        jpeg = await asyncio.to_thread(figures.image, int(request.match_info["number"]))
        if jpeg is None:
            raise web.HTTPNotFound
        return web.Response(body=jpeg, content_type="image/jpeg")

    async def as_json(request: web.Request) -> web.Response:
        sources = {"/figures": figures.figures, "/missing": figures.missing, "/vendor-ids": figures.vendor_ids}
        return web.json_response(await asyncio.to_thread(sources[request.path]))

    app = web.Application()
    app.add_routes([web.get("/", index), web.get(r"/image/{number:\d{1,15}}", image)])
    app.add_routes([web.get(path, as_json) for path in ("/figures", "/missing", "/vendor-ids")])
    app.on_response_prepare.append(_protect)
    return app


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def render(template: Template, reads: Iterable[ShownRead], numbers: dict[str, Any]) -> str:
    """Give the page's HTML."""
    cards = "\n".join(map(_card, reads)) or '<p class="none">No reads yet.</p>'
    nodes = "\n".join(_node(name, node) for name, node in numbers["nodes"].items())
    return template.substitute(
        at=datetime.now(UTC).strftime("%H:%M:%S"),
        totals=_totals(numbers),
        nodes=nodes or '<p class="none">No node has been heard yet.</p>',
        reads=cards,
    )


def _totals(numbers: dict[str, Any]) -> str:
    shown = {
        "Reads": numbers["reads"],
        "Overviews": numbers["overviews"],
        "Acts": numbers["acts"],
        "Duplicates": numbers["duplicates"],
        "Missing": numbers["gaps"] + numbers["tail_missing"],
        "Shed by acts": numbers["shed"],
        "Refused": sum(numbers["refused"].values()),
    }
    return "".join(f"<div><dt>{name}</dt><dd>{number:,}</dd></div>" for name, number in shown.items())


def _node(name: str, node: dict[str, Any]) -> str:
    age_s = node["heartbeat_age_s"]
    rows = {
        "Session": _word(node["session"]),
        "Last heartbeat": "never" if age_s is None else f"{age_s} s ago",
        "Reads per minute": str(node["reads_per_minute"]),
        "Records held": f"reads {node['reads']:,}<br>overviews {node['overviews']:,}<br>acts {node['acts']:,}",
        "Missing numbers": _findings(node["gaps"], f"{node['tail_missing']} at the tail", node["tail_missing"]),
        "Given up by signed acts": str(node["shed"]),
        "Duplicates": str(node["duplicates"]),
        "Refused": ", ".join(f"{_word(code)} {n}" for code, n in node["refused"].items()) or "0",
        "Chain": _chain(node),
        "Cameras": _pairs(node["cameras"]) or "none stated",
        "Alerts": ", ".join(map(_word, node["alerts"])) or "none",
    }
    body = "".join(f'<tr><th scope="row">{label}</th><td>{cell}</td></tr>' for label, cell in rows.items())
    state = _word(node["state"])
    mood = {"ready": "good", "stopped": "calm", "init": "calm"}.get(node["state"], "bad")
    return (
        f'<table><caption>{_word(name)} <span class="{mood}">{state}</span></caption><thead class="unseen"><tr>'
        f'<th scope="col">What</th><th scope="col">Now</th></tr></thead><tbody>{body}</tbody></table>'
    )


def _findings(number: int, more: str, extra: int) -> str:
    return f"{number}, and {more}" if extra else str(number)


def _chain(node: dict[str, Any]) -> str:
    labels = {"broken_links": "broken links", "head_differs": "heads differ", "rollbacks": "rolled back"}
    return ", ".join(f"{node[key]} {label}" for key, label in labels.items() if node[key]) or "unbroken"


def _pairs(cameras: dict[str, str]) -> str:
    return "<br>".join(f"{_word(camera)}: {_word(state)}" for camera, state in cameras.items())


def _card(read: ShownRead) -> str:
    vrm = _word(read.vrm) if read.vrm is not None else "no plate read"
    title = "h3" if read.vrm is not None else 'h3 class="none"'
    place = f"{_word(read.node)}, {_word(read.camera)}" + (f"<br>lane {_word(read.lane)}" if read.lane else "")
    trial = ' <span class="calm">trial</span>' if read.test else ""
    return (
        f"<article><div>{_picture(read.patch, f'Plate patch of {vrm}', 'patch')}<{title}>{vrm}{trial}</h3>"
        f"<p>{_time(read.captured_ms)}</p><p>{place}</p></div>"
        f"{_picture(read.overview, f'Overview of the vehicle {vrm}', 'overview')}</article>"
    )


def _picture(number: int | None, alt: str, kind: str) -> str:
    if number is None:
        return f'<p class="none {kind}">No {"plate patch" if kind == "patch" else "overview"}</p>'
    return f'<img class="{kind}" src="/image/{number}" alt="{alt}">'


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S UTC<br>%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return "a time beyond reckoning"


def _word(value: object) -> str:
    """Any value from the wire as escaped text, cut to what a page can bear."""
    return escape("unknown" if value is None else str(value)[:80])
