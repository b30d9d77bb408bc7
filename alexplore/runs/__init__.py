"""What a run is on disk: the only channel between a training worker and anyone who watches or steers it. No torch."""
