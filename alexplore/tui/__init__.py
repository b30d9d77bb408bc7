"""The app. It reads presets and run directories, starts workers, and never imports torch."""

import os

# Textual draws at its next frame or the one after, and an edit takes two or three rounds of drawing: at its 60 frames a
# second that is 30 to 100 ms of waiting. Must be set before Textual is imported; what is in the environment goes first.
os.environ.setdefault("TEXTUAL_FPS", "120")
