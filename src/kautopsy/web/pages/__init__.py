"""The pages: a module each, with the routes it serves."""
