"""Helpers for the tests of several folders: small networks, processes, runs, the app's screen, and one way to wait."""
