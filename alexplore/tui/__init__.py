"""The app. It reads presets and run directories, starts workers, and never imports torch."""
