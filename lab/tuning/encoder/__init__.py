"""The pretrained encoder: where it is found, its head, and which of its layers learn."""
