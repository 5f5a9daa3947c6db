"""The world around a node: cameras, broker, network, back office and a whole site on loopback.

Nothing here is imported by the node, and nothing of the node is imported here: what the two share is
`docs/wire.md` and what cameras send in the wild.
"""
