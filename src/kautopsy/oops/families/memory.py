"""Memory that is not as it should be: slabs, pages, leaks, and none left."""

from __future__ import annotations

import re

from kautopsy.model.crash import Kind
from kautopsy.oops.body import Body
from kautopsy.oops.families.base import Name, in_function, on_stack, report, skip
from kautopsy.oops.helpers import ALLOCATORS
from kautopsy.oops.titles import guilty

_PAGES = skip(
    "bad_page",
    "free_page",
    "free_pages",
    "prep_new_page",
    "get_page_from",
    "free_pcp",
    "free_hot",
    "check_new_page",
    "rmqueue",
    "__free_",
    "free_unref",
    "release_pages",
    "^free_",
    "page_expected",
)

_PAGE_CACHE = skip("^_*filemap_", "^pagecache_", "folio_alloc", "post_alloc_hook", "get_page_from")


@report(
    "slab",
    # mm/slub.c slab_bug: `BUG kmalloc-64 (Not tainted): Poison overwritten`; mm/slab.c
    r"^(?:[^:]{0,40} )?BUG (?P<cache>[\w.:@/\[\]#-]+) ?(?:\((?:Not tainted"
    r"|Tainted[^)]*)\s*\))?: (?P<what>.{3,80})$"
    r"|[Ss]lab (?:corruption|error)|BUG: (?P<object>Object already free)"
    r"|slab: (?:Internal list corruption|double free detected in cache)",
    words=("BUG ", "BUG: Object already free", "lab corruption", "lab error", "slab: "),
)
def _slab(match: re.Match[str], body: Body) -> Name:
    what = (match["what"] or match["object"] or "slab corruption").strip()
    # debugging a slab prints who allocated and freed the object before it prints its own stack
    stacks = [t for t in body.calls() if t.head.startswith(("Call", "call", "Backtrace"))]
    function = None
    if stacks:
        function = on_stack(body, ALLOCATORS, trace=body.calls().index(stacks[0]))
    title = "BUG: Object already free" if "already free" in what else f"BUG: slab: {what}"
    return Name(
        kind=Kind.SLAB_CORRUPTION,
        title=in_function(title, function),
        titles=(title,),
        corrupted="the log ends before the report's own backtrace"
        if body.has_trace and not any(trace.call for trace in body.traces)
        else None,
    )


@report(
    "page",
    r"BUG: Bad page (?P<what>state|map|cache)\b|Bad page state in process"
    r"|Eeek! page_mapcount\(page\) went negative",
    words=(
        "BUG: Bad page ",
        "Bad page state in process",
        "Eeek! page_mapcount(page) went negative",
    ),
)
def _page(match: re.Match[str], body: Body) -> Name:
    what = match["what"] or "state"
    finder = on_stack(body, _PAGES)
    # CONFIG_PAGE_OWNER knows whose the page was, which says more than who came across it.
    owners = [trace for trace in body.traces if re.match(r"page last allocated", trace.head)]
    function = guilty(owners[0].reliable(), ALLOCATORS, _PAGE_CACHE) if owners else None
    function = function or finder
    return Name(
        kind=Kind.PAGE_CORRUPTION,
        title=in_function(f"BUG: Bad page {what}", function),
        titles=(f"BUG: Bad page {what}", in_function(f"BUG: Bad page {what}", finder)),
    )


@report(
    "mm-counters",
    r"BUG: (?P<what>Bad rss-counter state|non-zero (?:nr_ptes|nr_pmds"
    r"|pgtables_bytes) on freeing mm)",
    words=("BUG: Bad rss-counter state", "BUG: non-zero "),
)
def _counters(match: re.Match[str], body: Body) -> Name:
    return Name(kind=Kind.PAGE_CORRUPTION, title=f"BUG: {match['what']}", needs_trace=False)


@report(
    "leak",
    r"BUG: memory leak|kmemleak: \d+ new suspected memory leaks"
    r"|unreferenced object 0x[0-9a-f]+ \(size",
    detail_of=("leak",),
    words=(" new suspected memory leaks", "BUG: memory leak", "unreferenced object 0x"),
)
def _leak(match: re.Match[str], body: Body) -> Name:
    function = on_stack(body, ALLOCATORS)
    if "new suspected" in match.group():
        return Name(kind=Kind.MEMORY_LEAK, title="memory leak", needs_trace=False)
    return Name(kind=Kind.MEMORY_LEAK, title=in_function("memory leak", function))


@report(
    "corrupted-debug",
    r"INFO: (?P<what>Allocated|Freed) in (?P<rest>\S+ age=.*)",
    words=("INFO: Allocated in ", "INFO: Freed in "),
)
def _torn_slab(match: re.Match[str], body: Body) -> Name:
    where = match["rest"].split()[0].split("+")[0]
    return Name(
        kind=Kind.SLAB_CORRUPTION,
        title=f"INFO: {match['what']} in {where}",
        corrupted="the head of the slab's report is lost",
    )
