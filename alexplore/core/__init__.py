"""The base of all other packages: errors, settings, files, processes, and texts that are safe to show."""
