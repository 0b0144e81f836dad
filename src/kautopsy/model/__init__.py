"""The nouns all rooms speak: frozen, typed, versioned JSON in and out. No I/O."""
