"""``python -m kautopsy``."""

import sys

from kautopsy.cli.main import main

sys.exit(main())
