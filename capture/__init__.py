"""How the world's cameras come in: sources hold the bytes, dialects understand them, the receiver is the one door."""
