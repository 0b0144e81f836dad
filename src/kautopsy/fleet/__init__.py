"""Fleet: every crash of every machine, once.

``schema``, ``database``, ``migrations/``   the store: SQLite, or PostgreSQL for a fleet
``nouns``, ``queries/``, ``changes/``       what is asked of it and what is told to it, typed
``intake/``                                 what comes in: files, directories, uploads, edge reports
``engine/``                                 dumps → reports: Dask, one isolated child a dump
``grouping/``                               which crashes are one bug; what a bug follows
``readiness/``                              could they dump if they died now; who died silently

Nothing outside this room writes SQL. The way in::

    database = Database.open("sqlite:////var/lib/kautopsy/fleet.sqlite")
    with database.read() as connection:
        page = queries.groups.ranked(connection, GroupFilter(state=(GroupState.NEW,)))
    with database.write() as connection:
        changes.triage.set_owner(connection, group_id, "net-team", by="anna")
"""
