"""Tools for agents (Model Context Protocol): what kautopsy knows, to read and nothing else.

``answers``  the one form of every answer: data, where it comes from, what it must not be taken for
``dumps``    tools over the dumps and snapshots that the server was started with
``store``    tools over a fleet's store
``server``   the server of both

There is no tool that runs a command, evaluates code, opens a path or changes anything. Dumps are
those of the command line, by the names given there; SQL sees their tables only.
"""
