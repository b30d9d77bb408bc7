"""The widgets of the screens. They draw what they are given; state and decisions are in the modules beside them."""
