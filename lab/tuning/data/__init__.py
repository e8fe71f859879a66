"""Sentences and their labels: loaded, checked, split, and brought to this machine."""
