"""The fleet in a browser: server-rendered pages and a JSON API over the store.

``app``        the application: its routes, its middleware
``config``     what the operator may set
``security``   who is asking: session, token, proxy; what each may do; headers
``passwords``  argon2, and how often one may guess
``context``    what a page's function is given, and how it answers
``pages/``     a module a page; ``templates/`` and ``static/`` are theirs
``charts``     SVG
``api``        ``/api/v1``, ``openapi`` its description
``metrics``    Prometheus, health
``notify``     webhook and e-mail on new groups and regressions
"""
