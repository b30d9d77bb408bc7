"""Lessons: steps of text about a preset, with questions whose answers are taken from the analysis."""
