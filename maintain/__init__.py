"""What only maintainers run: the materials that are made from the sources and the recorded runs."""
