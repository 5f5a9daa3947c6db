"""The reference central store, written from docs/wire.md alone and sharing no code with the node."""
