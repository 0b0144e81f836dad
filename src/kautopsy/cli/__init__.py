"""The command: one module per verb. Parse, call one function, render; nothing is decided here.

A verb is a module ``cli/VERB.py`` (``import`` becomes ``import_.py``) with two functions:

``configure(parser)``
    adds the verb's arguments; the module's docstring is its help, the first line its summary.
``run(arguments) -> int``
    does it and returns an :class:`~kautopsy.model.errors.ExitCode`.

Verb modules import heavy things inside ``run``: ``kautopsy --help`` imports them all. Modules whose
name starts with an underscore are shared parts, not verbs.
"""
