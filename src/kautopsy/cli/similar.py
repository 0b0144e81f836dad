"""Probably the same as which known crashes: ranked, and why.

CRASH is a log, a document of `kautopsy report --json` or `kautopsy oops --json`, or - for standard
input; of several crashes in it the first whole one is asked about. The corpus is a directory of
logs and such documents, or a file of JSON lines with "id" and "log" (or "crash").

Reports with the same exact fingerprint come first: those are the same bug. For the rest the score
is the similarity, from 0 to 1, of everything a report tells: frames, calls, files, other stacks,
title, words and release, rare ones counting most.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kautopsy.cli._output import Progress, add_json, print_json
from kautopsy.model.errors import ExitCode, UnreadableError
from kautopsy.report.escape import one_line

_LIMIT = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("crash", metavar="CRASH", help="a log, a JSON document, or -")
    parser.add_argument(
        "--corpus", type=Path, required=True, metavar="DIR|FILE", help="the known crashes"
    )
    parser.add_argument(
        "--limit", type=_positive, default=_LIMIT, metavar="N", help="how many (%(default)s)"
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="read the corpus anew, and keep nothing of it"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Rank the corpus by its similarity to the crash."""
    from kautopsy.fingerprint.corpus import MAX_LOG, read_corpus, read_source
    from kautopsy.fingerprint.corpus_cache import CorpusCache
    from kautopsy.fingerprint.ranking import Ranking
    from kautopsy.model.report import SimilarDocument
    from kautopsy.oops import read_text
    from kautopsy.symbols.finder.cache import cache_root

    if arguments.crash == "-":
        raw, name = sys.stdin.buffer.read(MAX_LOG + 1), "standard input"
    else:
        name = arguments.crash
        with Path(name).open("rb") as stream:
            raw = stream.read(MAX_LOG + 1)
    if len(raw) > MAX_LOG:
        raise UnreadableError(
            "too long to compare as a whole",
            thing=name,
            slug="too-long",
            hint="kautopsy oops --json LOG | kautopsy similar -",
        )
    query = read_source(raw, name, read_text, only_first=True)
    if not query:
        raise UnreadableError("nothing in it", thing=name, slug="no-crash")
    kept = None if arguments.no_cache else cache_root() / "similar.sqlite"
    with (
        Progress("reading the corpus") as progress,
        CorpusCache(kept, recipe=_readers()) as cache,
    ):
        corpus = read_corpus(arguments.corpus, read_text, cache=cache)
        progress.detail = f"{len(corpus)} crashes"
    matches = Ranking(corpus).nearest(query[0].features, arguments.limit, exact=query[0].exact)
    if arguments.json:
        print_json(SimilarDocument(matches=tuple(matches)))
    elif not matches:
        print("Nothing in the corpus has anything in common with it.")
    else:
        for match in matches:
            print(f"{match.score:.2f}  {one_line(match.id)}")
            for reason in match.why:
                print(f"      {one_line(reason)}")
    return ExitCode.OK


def _readers() -> str:
    """Names the code that reads logs: what an older one made of them is of no use."""
    from kautopsy import fingerprint, oops

    files = [
        file
        for room in (fingerprint, oops)
        for folder in room.__path__
        for file in sorted(Path(folder).rglob("*.py"))
    ]
    return " ".join(f"{file.stat().st_size}.{file.stat().st_mtime_ns}" for file in files)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"not a number of reports: {text}")
    return int(text)
