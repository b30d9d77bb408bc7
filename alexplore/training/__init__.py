"""Training: from a network and a recipe to weights. Only this package and `alexplore.importing` import torch."""
