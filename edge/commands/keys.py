"""`anpr-edge keys init|show`: the node's signing key, and the ids by which the keys in force are known."""

from __future__ import annotations

import argparse

from edge import keys
from edge.commands.output import config_argument, json_argument, say, say_json, table
from edge.seal import sealer
from firmware_config.load import Loaded, load

HELP = "make the node's signing key; show the ids of the keys in force"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("init", "show"))
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args.config, need_files=False)
    return _init(loaded, args.json) if args.what == "init" else _show(loaded, args.json)


def _init(loaded: Loaded, as_json: bool) -> int:
    path = loaded.resolve(loaded.settings.keys.sign)
    kid = keys.make_signing_key(path).kid.hex()
    public = keys.public_path(path)
    if as_json:
        say_json({"kid": kid, "public": str(public)})
        return 0
    say(f"signing key {kid} made")
    say(f"give {public} to the store, so that it can verify this node's records")
    return 0


def _show(loaded: Loaded, as_json: bool) -> int:
    """Ids and places only. A private key is never printed."""
    settings = loaded.settings
    seal_key = keys.load_seal_key(loaded.resolve(settings.keys.seal_to))
    shown = [
        ("sign", keys.load_signer(loaded.resolve(settings.keys.sign)).kid.hex(), str(settings.keys.sign)),
        ("seal_to", sealer(settings.node.node, seal_key).kid.hex(), str(settings.keys.seal_to)),
    ]
    if settings.keys.receipts_from is not None:
        receipts = keys.load_verifier(loaded.resolve(settings.keys.receipts_from))
        shown.append(("receipts_from", receipts.kid.hex(), str(settings.keys.receipts_from)))
    if as_json:
        say_json({name: {"kid": kid, "file": file} for name, kid, file in shown})
    else:
        table(("key", "kid", "file"), shown)
    return 0
