"""Faster equivalents of PyTorch's layers."""
