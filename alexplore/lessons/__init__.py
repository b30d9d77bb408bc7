"""Lessons: steps of text over a preset, with questions whose answers the analysis knows."""
