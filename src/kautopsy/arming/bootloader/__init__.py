"""The boot loaders' files: which kernel starts next, with which arguments. A module a loader."""
