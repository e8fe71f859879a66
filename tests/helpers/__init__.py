"""What test files of several rooms share; fixtures stand in tests/conftest.py."""
