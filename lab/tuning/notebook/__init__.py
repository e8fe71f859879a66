"""The notebook as a place: preflight, progress, pasted text, and running it without a screen."""
