"""What two reports of one bug have in common."""

from __future__ import annotations

import msgspec

from kautopsy.model.base import Noun


class Fingerprint(Noun, frozen=True, kw_only=True):
    """Keys of a crash.

    :param version: of the recipe; keys of different versions never compare
    :param exact: crashes with one exact key are the same bug: right to merge on
    :param keys: name → key, coarser or finer than ``exact``, for ranking
    """

    version: int
    exact: str
    keys: dict[str, str] = msgspec.field(default_factory=dict)
