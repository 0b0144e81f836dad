"""Rehearse a machine's capture in a guest: its own capture kernel and initrd, and its own size."""
