"""`python -m simulators VERB`: each verb is one part of the world around a node."""

from __future__ import annotations

import argparse
import importlib
import sys

VERBS = {
    "camera": ("simulators.camera", "a camera of any vendor, over that vendor's transports"),
    "broker": ("simulators.broker", "an MQTT broker on loopback"),
    "network": ("simulators.network", "a link that can be cut, frozen and slowed"),
    "backoffice": ("simulators.backoffice.main", "the store and its page"),
    "site": ("simulators.site", "a whole site on loopback"),
}


def main(argv: list[str]) -> int:
    """Imports only the verb that is asked for, so that each works where another's packages are missing."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    parser.add_argument("verb", choices=VERBS, help="; ".join(f"{verb}: {what}" for verb, (_, what) in VERBS.items()))
    args = parser.parse_args(argv[:1])
    module, what = VERBS[args.verb]
    verb = importlib.import_module(module)
    own = argparse.ArgumentParser(prog=f"python -m simulators {args.verb}", description=what)
    verb.add_arguments(own)
    return int(verb.run(own.parse_args(argv[1:])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
