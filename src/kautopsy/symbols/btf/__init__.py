"""BTF: the compact type information that a kernel built with CONFIG_DEBUG_INFO_BTF carries."""
