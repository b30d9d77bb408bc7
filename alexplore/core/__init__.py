"""The base of all other packages: errors, declared settings, atomic files, formatting. Standard library alone."""
