"""Panic a machine on purpose: the ways, who may be panicked, and what its console tells."""
