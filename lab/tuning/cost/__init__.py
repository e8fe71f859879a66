"""Seconds, energy and money of a run, before it is started."""
