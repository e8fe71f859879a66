"""The options of Going Further, one module each."""
