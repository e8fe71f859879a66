"""The training loop: arguments, the recorder, scoring, the live curve, and coming back after a stop."""
