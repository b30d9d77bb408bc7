"""Preset files: read, find, write and check them, with their recipes and published numbers."""
