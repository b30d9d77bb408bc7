"""alexplore: explore and train the AlexNet family from the terminal."""

__version__ = "0.1.0"
