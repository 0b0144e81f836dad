"""Which crashes are one bug, and what people decided about that.

``sighting``   a crash as intake hands it in: who, when, on what
``event``      names the event, so that it counts once whatever files tell of it
``record``     a batch of sightings into the store: signatures, groups, counters, notices
``releases``   is this release newer than that one: regressions
``likeness``   probably the same, ranked, and why
``decide``     merge, split, not the same: remembered by events
``recompute``  everything anew, decisions replayed, and what moved
"""
