"""Crash → keys and distance: the same for a vmcore and for console text."""

from kautopsy.fingerprint.exact import VERSION, fingerprint
from kautopsy.fingerprint.generic import is_generic

__all__ = ["VERSION", "fingerprint", "is_generic"]
