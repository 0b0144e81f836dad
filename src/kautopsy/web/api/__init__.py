"""``/api/v1``: what the pages show as JSON, what triagers do, and what hosts send.

``operation``  what an operation declares, and how it is served
``reading``    groups, crashes, hosts, readiness, drills, search
``triaging``   state, owner, notes, merge, split
``sending``    small reports, and uploads that can be resumed
``openapi``    the description of all that, from the declarations
"""
