"""Parts of screens, each drawing one thing that it is given."""
