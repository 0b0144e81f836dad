"""kautopsy: make a Linux machine leave a crash dump, bring it home, and say what it died of."""

__version__ = "0.1.0"
