"""A report as one HTML file: no other file, no request to anywhere, no framework.

``page`` puts it together; ``markup`` is the only place where text becomes HTML; the others make one
part each. ``style.css`` and ``script.js`` are copied into the page, which allows nothing but them.
"""

from kautopsy.report.page.page import render

__all__ = ["render"]
