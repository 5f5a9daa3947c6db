"""The vocabulary, the rules and the ledger of the node. Imports no other room; `edge.__main__` is the program."""
