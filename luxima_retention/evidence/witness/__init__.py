"""Witnesses: second parties that cosign each head of the ledger they find consistent with the one before.

What they speak is C2SP tlog-witness, and what they sign tlog-cosignature with Ed25519 (github.com/C2SP/C2SP).
"""
