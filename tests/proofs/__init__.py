"""Proofs by breaking: the store cut, filled, flipped and killed, the uplink broken, and what each cost, counted.

`python -m tests.proofs NAME` runs one; docs/proofs.md says what each shows. The ordinary tests run short forms.
"""
