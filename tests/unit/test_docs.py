"""The pages, held against the program: sections, anchors, links, verbs, commands. A page that is wrong fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.__main__ import VERBS
from edge.commands.doctor import _checks
from edge.situation import CAMERA_CODES, NODE_CODES
from firmware_config.load import load
from simulators import site_files
from simulators.site_files import Folders

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])
GUIDE = ROOT / "docs" / "field-guide.md"
INSTALL = ROOT / "docs" / "install.md"
ROOMS = ("edge", "capture", "compress", "uplink", "firmware_config")

# Commands of install.md, and the Debian package that has each. None: on every Debian and Raspberry Pi OS.
COMMANDS: dict[str, str | None] = {
    "apt": None,
    "cat": None,
    "chmod": None,
    "chown": None,
    "install": None,
    "mv": None,
    "nano": None,
    "reboot": None,
    "rm": None,
    "sed": None,
    "systemctl": None,
    "systemd-sysusers": None,
    "chronyc": "chrony",
    "openssl": "openssl",
    "python3": "python3",
    "/opt/anpr-edge/bin/pip": "python3-venv",
    "/opt/anpr-edge/bin/anpr-edge": "python3-venv",
}


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(page: Path) -> str:
    return page.read_text("utf-8")


def headings(page: Path) -> list[str]:
    without_code = re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^#{1,6} (.+)$", without_code, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    found: set[str] = set()
    for heading in headings(page):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = sum(1 for each in found if each == slug or re.fullmatch(re.escape(slug) + r"-\d+", each))
        found.add(f"{slug}-{again}" if again else slug)
    return found


def section(page: Path, heading: str) -> str:
    found = re.search(rf"^### {re.escape(heading)}\n(.*?)(?=^##|\Z)", text(page), flags=re.MULTILINE | re.DOTALL)
    assert found, f"{named(page)} has no section {heading}"
    return found[1]


def code(page: Path) -> str:
    """What stands in code blocks and between backticks."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```|^    (.+)$|`([^`\n]+)`", text(page), flags=re.MULTILINE | re.DOTALL)
    return "\n".join(part for found in blocks for part in found if part)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_resolves(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text(page)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{named(page)}: {target}"
        assert not anchor or anchor in anchors(there), f"{named(page)}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_verb_a_page_names_exists(page: Path) -> None:
    named_verbs = re.findall(r"(?:^|[\s/])anpr-edge ([a-z][a-z-]*)", code(page), flags=re.MULTILINE)
    assert set(named_verbs) <= set(VERBS), f"{named(page)}: {sorted(set(named_verbs) - set(VERBS))}"


def test_the_guide_names_verbs_at_all() -> None:
    """The control of the one above."""
    assert re.findall(r"(?:^|[\s/])anpr-edge ([a-z][a-z-]*)", code(GUIDE), flags=re.MULTILINE).count("doctor") > 2


def test_every_page_and_anchor_that_the_program_names_exists() -> None:
    seen = 0
    for source in [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]:
        for name, anchor in re.findall(r"(docs/[\w/-]+\.md)(?:#([\w-]+))?", text(source)):
            seen += 1
            assert (ROOT / name).exists(), f"{named(source)}: {name}"
            assert not anchor or anchor in anchors(ROOT / name), f"{named(source)}: {name}#{anchor}"
    assert seen > 10


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    """Every check's id, and what it depends on."""
    folders = Folders(tmp_path_factory.mktemp("site"))
    folders.make()
    site_files.write_node(folders, 1, 1, 5)
    site_files.write_cameras(folders, site_files.cameras(1))
    return {check.id: check.depends_on for check in _checks(folders.config)}


def test_every_check_has_its_section_and_every_section_its_parts(checks: dict[str, tuple[str, ...]]) -> None:
    assert len(checks) >= 20
    for name, depends_on in checks.items():
        found = section(GUIDE, name)
        assert re.search(r"^- Asks: ", found, re.MULTILINE), name
        assert re.search(r"^- (Bad|Poor): ", found, re.MULTILINE), name
        assert re.search(r"^- Do: ", found, re.MULTILINE), name
        (stated,) = re.findall(r"^- Depends on: (.+)\.$", found, re.MULTILINE)
        assert stated == (", ".join(depends_on) or "nothing"), name


@pytest.mark.parametrize("alert", [*NODE_CODES, *CAMERA_CODES])
def test_every_alert_has_its_section(alert: str) -> None:
    assert section(GUIDE, alert).strip()


def test_every_reason_to_refuse_is_explained() -> None:
    sources = [*(ROOT / "capture").rglob("*.py"), ROOT / "edge" / "admit.py"]
    found = {
        word
        for source in sources
        for groups in re.findall(
            r'reason="(\w+)"|counts\["(\w+)"\]|_refuse\("(\w+)"|_not_understood\("(\w+)"|self\._until\([^"]*"(\w+)"',
            text(source),
        )
        for word in groups
        if word
    }
    assert {"unknown_identity", "xml_forbidden", "unrecognised", "idle_timeout", "busy"} <= found
    explained = set(re.findall(r"`(\w+)`", section(GUIDE, "refusals")))
    assert found <= explained, f"not explained: {sorted(found - explained)}"


def install_blocks(language: str) -> list[str]:
    return [
        block for lang, block in re.findall(r"^```(\w*)\n(.*?)^```$", text(INSTALL), re.M | re.S) if lang == language
    ]


def install_commands() -> list[list[str]]:
    """The lines of install.md's plain code blocks, in words, without `sudo` and its user."""
    lines = [line for block in install_blocks("") for line in block.splitlines()]
    assert len(lines) > 20
    return [re.sub(r"^sudo (-u \S+ )?", "", line).split() for line in lines]


def test_the_configuration_of_install_is_sound(tmp_path: Path) -> None:
    config, credential = install_blocks("toml")
    (tmp_path / "config.toml").write_text(config, "utf-8")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "credential.toml").write_text(credential, "utf-8")
    settings = load(tmp_path, need_files=False).settings
    assert settings.keys.sign == Path("/run/credentials/anpr-edge.service/sign.pem")
    assert settings.uplink.tls


def test_install_names_only_commands_of_debian_and_its_own() -> None:
    packages = next(words for words in install_commands() if words[:2] == ["apt", "install"])
    for words in install_commands():
        assert words[0] in COMMANDS, words[0]
        package = COMMANDS[words[0]]
        assert package is None or package in packages, f"{words[0]} needs {package}"


def test_install_names_only_files_that_are_here() -> None:
    names = set(re.findall(r"(?<![\w/])((?:systemd|requirements)/[\w./-]+\w)", text(INSTALL)))
    assert names >= {"systemd/anpr-edge.service", "systemd/sysusers.d/anpr-edge.conf", "requirements/node.txt"}
    for name in names:
        assert (ROOT / name).is_file(), name


def test_install_and_the_unit_name_the_same_places() -> None:
    unit = text(ROOT / "systemd" / "anpr-edge.service")
    page = text(INSTALL)
    assert "/opt/anpr-edge/bin/anpr-edge run --config /etc/anpr-edge" in unit
    assert "python3 -m venv /opt/anpr-edge" in page
    assert "LoadCredential=sign.pem:anpr-edge.sign.pem" in unit
    assert "/etc/credstore/anpr-edge.sign.pem" in page
    assert "/run/credentials/anpr-edge.service/sign.pem" in page
