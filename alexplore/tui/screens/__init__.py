"""The screens: the three modes, full-screen reports, and dialogs."""
