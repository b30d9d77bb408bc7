"""Training: from a network and a recipe to weights. The only part of alexplore that imports torch."""
