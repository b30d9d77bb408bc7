"""A network as an `nn.Module`."""
