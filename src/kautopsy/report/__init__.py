"""Renderers: model → terminal, JSON. One small module each; nothing here looks at a machine."""
