"""Sentences and their labels: loaded, checked, split, and brought to this machine.

Nothing is imported here: the first cell of a notebook needs only `download`, and must not wait for pandas.
"""
