"""The app. It reads presets and run directories, starts workers, and never imports torch."""

import os

# An edit takes two or three rounds of drawing, and each waits for Textual's next frame: at its default of 60 frames a
# second that adds 30 to 100 ms. The variable must be set before Textual is imported; a user's own value stays.
os.environ.setdefault("TEXTUAL_FPS", "120")
