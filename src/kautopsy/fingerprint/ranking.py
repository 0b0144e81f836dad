"""Probably the same: TF-IDF within each group of evidence, cosine, and the mean over the groups."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kautopsy.fingerprint.features import Features, Group
from kautopsy.model.report import Match

_SHOWN = 3
_WORTH_SAYING = 0.02
"""Of a group's similarity (0 to 1): below, it is words that nearly every report has."""
_SAME_KEY = "same exact fingerprint"


@dataclass(frozen=True)
class Known:
    """A report of the corpus; ``exact`` is its exact key, None if it has none."""

    id: str
    features: Features
    exact: str | None = None


class Ranking:
    """A corpus, ready to be asked.

    A term that n of N reports have weighs log((N + 1) / n), so that even what all have counts for
    something in a small corpus. Each group of a report is a vector of length 1 of such weights.
    """

    def __init__(self, corpus: Sequence[Known]) -> None:
        self._corpus = corpus
        self._idf: dict[Group, dict[str, float]] = {}
        self._postings: dict[Group, dict[str, list[tuple[int, float]]]] = {}
        for group in Group:
            counts = Counter[str]()
            for known in corpus:
                counts.update(known.features.terms.get(group, {}).keys())
            idf = {term: math.log((len(corpus) + 1) / n) for term, n in counts.items()}
            postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
            for number, known in enumerate(corpus):
                for term, weight in _unit(known.features.terms.get(group, {}), idf, 0.0):
                    postings[term].append((number, weight))
            self._idf[group] = idf
            self._postings[group] = postings

    def nearest(
        self, query: Features, limit: int, *, exact: str | None = None, but: str | None = None
    ) -> list[Match]:
        """The ``limit`` most similar sources, best first; scores are between 0 and 1.

        :param exact: the query's exact key: reports that have it too come first
        :param but: the id of a source to leave out
        """
        shared = self._weigh(query)
        # A source may hold several crashes; it is named once, by the most similar.
        best: dict[str, tuple[int, float]] = {}
        for number, score in self._ordered(shared, exact, but):
            if len(best) >= limit:
                break
            best.setdefault(self._corpus[number].id, (number, score))
        return [
            Match(id=name, score=round(score, 4), why=tuple(self._why(number, shared, exact)))
            for name, (number, score) in best.items()
        ]

    def order(
        self, query: Features, *, exact: str | None = None, but: str | None = None
    ) -> list[str]:
        """The ids of all sources with anything in common, best first."""
        ordered = self._ordered(self._weigh(query), exact, but)
        return list(dict.fromkeys(self._corpus[number].id for number, _ in ordered))

    def _weigh(self, query: Features) -> dict[Group, list[tuple[str, float]]]:
        unseen = math.log(len(self._corpus) + 1)
        return {
            group: list(_unit(terms, self._idf[group], unseen))
            for group in Group
            if (terms := query.terms.get(group))
        }

    def _ordered(
        self,
        query: dict[Group, list[tuple[str, float]]],
        exact: str | None,
        but: str | None,
    ) -> list[tuple[int, float]]:
        total = array("d", bytes(8 * len(self._corpus)))
        for group, terms in query.items():
            postings = self._postings[group]
            for term, weight in terms:
                for number, other in postings.get(term, ()):
                    total[number] += weight * other
        scale = 1 / max(len(query), 1)
        found = [
            (number, min(total[number] * scale, 1.0))
            for number, known in enumerate(self._corpus)
            if known.id != but and (total[number] > 0 or self._same(known, exact))
        ]
        found.sort(
            key=lambda pair: (
                not self._same(self._corpus[pair[0]], exact),
                -pair[1],
                self._corpus[pair[0]].id,
            )
        )
        return found

    @staticmethod
    def _same(known: Known, exact: str | None) -> bool:
        return exact is not None and known.exact == exact

    def _why(
        self, number: int, query: dict[Group, list[tuple[str, float]]], exact: str | None
    ) -> Iterable[str]:
        """The terms that weighed most, group by group, heaviest group first."""
        known = self._corpus[number]
        if self._same(known, exact):
            yield _SAME_KEY
        found: list[tuple[float, str]] = []
        for group, terms in query.items():
            own = dict(_unit(known.features.terms.get(group, {}), self._idf[group], 0.0))
            weighed = sorted(
                ((weight * own[term], term) for term, weight in terms if term in own),
                key=lambda pair: (-pair[0], pair[1]),
            )
            if sum(weight for weight, _ in weighed) >= _WORTH_SAYING:
                shown = ", ".join(term for _, term in weighed[:_SHOWN])
                more = len(weighed) - _SHOWN
                tail = f" and {more} more" if more > 0 else ""
                found.append((sum(w for w, _ in weighed), f"{group}: {shown}{tail}"))
        yield from (text for _, text in sorted(found, key=lambda pair: -pair[0]))


def _unit(
    terms: dict[str, float], idf: dict[str, float], unseen: float
) -> Iterable[tuple[str, float]]:
    """``terms`` times their rarity, scaled to length 1."""
    weighed = [(term, weight * idf.get(term, unseen)) for term, weight in terms.items()]
    length = math.sqrt(sum(weight * weight for _, weight in weighed))
    return [(term, weight / length) for term, weight in weighed if weight] if length else []
