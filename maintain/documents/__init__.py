"""Blocks of the documents that are made from the sources: times, runs, dials, the house."""
