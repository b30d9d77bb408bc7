"""What every other package stands on: errors, declared settings, atomic files, formatting. Standard library alone."""
