"""Console text → crashes: split boots and reports, clean prefixes, parse, name, judge.

The way of a log through this room, a module a step:

``scan``        bytes → regions around a trigger, at the speed of a multi-pattern search
``reading``     a region's bytes → lines (encodings, mail, journal and pstore forms)
``prefixes``    a line → when, who, what: the stamps that consoles and daemons put before it
``look``        a line → its frames, what it may be (``sight``), the report it begins
``splitter``    lines → one :class:`~kautopsy.oops.body.Body` a crash; chains, boots, interleaving
``families``    which report it is: kind, trigger, title; one module per family
``frames``, ``registers``, ``facts``, ``code``  what stands in a body
``titles``      the function to name, ``corrupted``  whether to trust it
"""

from kautopsy.oops.crashes import read_crashes, read_text

__all__ = ["read_crashes", "read_text"]
