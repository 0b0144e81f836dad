"""Schemas of the store, oldest first."""
