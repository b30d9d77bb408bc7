"""What tests of several folders use: small networks, processes, runs, the app's screen, and one way to wait."""
