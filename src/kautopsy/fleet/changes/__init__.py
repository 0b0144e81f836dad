"""What is told to the store by people and programs: in a writing transaction, each with its audit.

``triage``   state, owner, notes, links; merge, split, "not the same"
``people``   accounts, sessions, tokens, notices that were sent
``audit``    the log of all that
"""

from kautopsy.fleet.changes import audit, people, triage

__all__ = ["audit", "people", "triage"]
