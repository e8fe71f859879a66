"""The record of a run, and everything that reads and judges it. Nothing here trains."""
