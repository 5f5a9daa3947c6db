"""Every node's chain, built from the store and kept beside it, for one writer and several readers.

Only a lock lives here; what the numbers mean is said in chain.py.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

from simulators.backoffice.chain import EpochReport, Link, NodeChain
from simulators.backoffice.store import Store


class Chains:
    """The chains by node name."""

    def __init__(self, store: Store) -> None:
        self._lock = Lock()
        self._nodes: defaultdict[str, NodeChain] = defaultdict(NodeChain)
        for held in store.held():
            self._nodes[held.node].add(held.epoch, held.seq, held.link)
        for node, epoch, seq, head in store.claims():
            self._nodes[node].claim(epoch, seq, head)
        for node, epoch, first, last in store.given_up():
            self._nodes[node].give_up(epoch, first, last)

    def add(self, node: str, epoch: bytes, seq: int, link: Link) -> None:
        """Take a record that was kept just now."""
        with self._lock:
            self._nodes[node].add(epoch, seq, link)

    def claim(self, node: str, epoch: bytes, seq: int, head: bytes) -> None:
        """Take a verified checkpoint."""
        with self._lock:
            self._nodes[node].claim(epoch, seq, head)

    def give_up(self, node: str, epoch: bytes, first: int, last: int) -> None:
        """Take what a kept act says was given up."""
        with self._lock:
            self._nodes[node].give_up(epoch, first, last)

    def run_head(self, node: str, epoch: bytes) -> bytes | None:
        """The head after the longest unbroken run from number 1, or None."""
        with self._lock:
            chain = self._nodes.get(node)
            return None if chain is None else chain.run_head(epoch)

    def reports(self) -> dict[str, tuple[EpochReport, ...]]:
        """The findings of every node's epochs."""
        with self._lock:
            return {node: chain.report() for node, chain in self._nodes.items()}
