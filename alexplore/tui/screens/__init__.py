"""What fills the terminal: three modes, and the dialogs that open over them."""
