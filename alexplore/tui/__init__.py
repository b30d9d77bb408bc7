"""The app. It reads presets and run directories, starts workers, and never imports torch."""

import os

# An edit is drawn in two or three rounds, and each waits for Textual's next frame: at the default of 60 frames a second
# that adds 30 to 100 ms. The variable must be set before Textual is imported; a user's own value is kept.
os.environ.setdefault("TEXTUAL_FPS", "120")
