"""Who is not known, not himself or not authorised is turned away, counted, and leaves nothing else behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cbor2
from whole_site import CameraRun, Site, until

from simulators.site_files import Mounted

STRANGER = Mounted("stranger", 9, "127.0.0.77", "02:00:00:00:00:09")
READS = 3
ONCE = ("--reads", str(READS), "--rate", "4", "--retry-for", "0", "--heartbeat", "0", "--keep-alive")
EXPECTED = {
    "lane-2": {"unknown_identity": READS},
    "lane-3": {"authorisation_expired": READS},
    "lane-4": {"not_yet_authorised": READS},
    "unknown": {"unknown_source": READS},
}


def authorise(site: Site, camera: str, first: int, last: int) -> None:
    """Change a camera's authorisation to these days, counted from today."""
    path, today = site.folders.config / "cameras.d" / f"{camera}.toml", datetime.now(UTC).date()
    text = re.sub(r"first_day = .*", f"first_day = {today + timedelta(days=first)}", path.read_text())
    path.write_text(re.sub(r"last_day = .*", f"last_day = {today + timedelta(days=last)}", text))


def refused_acts(site: Site) -> list[dict[str, dict[str, int]]]:
    """The counts of every act `refused` at the back office."""
    signed = site.store_rows("SELECT signed FROM evidence JOIN records ON records.id = record WHERE act = 'refused'")
    payloads = [cbor2.loads(cbor2.loads(row[0]).value[2]) for row in signed]
    return [payload["body"]["detail"]["counts"] for payload in payloads]


def anything_of(refused: list[CameraRun], folder: Path) -> list[str]:
    """Files below `folder` that name a passage of one of these cameras."""
    names = [line["uuid"].encode() for camera in refused for line in camera.heard()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(name in path.read_bytes() for name in names)]


def push_all(site: Site) -> tuple[CameraRun, list[CameraRun]]:
    """Every camera to its end: the good one, which reads no plate, and those that are to be refused."""
    good, impostor, expired, early = site.mounted
    kept = site.start_camera(good, *ONCE, "--unread", "1")
    refused = [
        site.start_camera(impostor, *ONCE, mac="02:00:00:00:00:99"),
        site.start_camera(expired, *ONCE),
        site.start_camera(early, *ONCE),
        site.start_camera(STRANGER, *ONCE),
    ]
    for camera in (kept, *refused):
        assert camera.process.wait() == 0
    return kept, refused


def test_refusals_are_counted_and_nothing_is_kept(make_site: Callable[..., Site]) -> None:
    site = make_site(cameras=4)
    authorise(site, "lane-3", -30, -1)
    authorise(site, "lane-4", 1, 30)
    _, _, node = site.start_all()
    kept, refused = push_all(site)

    for camera in refused:
        heard = camera.heard()
        assert [(line["verdict"], line["status"]) for line in heard] == [("refused", 403)] * READS, camera.mounted.name
    by_reason = {reason: count for counts in EXPECTED.values() for reason, count in counts.items()}
    until("the status", lambda: site.status()["refused"] == by_reason)
    until("the unread vehicles", lambda: kept.stored() <= site.held().keys())

    assert node.stop() == 0
    assert site.ledger_rows("SELECT waiting FROM totals") == [(0,)], "what is said in stopping is receipted too"
    assert refused_acts(site) == [EXPECTED]
    assert site.store_rows("SELECT act FROM records WHERE kind = 'act' ORDER BY id") == [
        ("started",),
        ("refused",),
        ("stopped",),
    ]
    until("the last word", lambda: site.ask("figures")["nodes"]["node-1"]["state"] == "stopped")
    assert site.held() == dict.fromkeys(kept.stored(), 1)
    assert len(kept.stored()) == READS
    assert site.store_rows("SELECT vrm, camera FROM records WHERE kind = 'read'") == [(None, "lane-1")] * READS
    assert anything_of(refused, site.folders.state / "node") == []
    assert anything_of(refused, site.folders.store) == []
    assert anything_of([kept], site.folders.store) != [], "the search finds what is there"
