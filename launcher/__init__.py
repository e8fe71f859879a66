"""What ``workshop.py`` hands over to: it runs before anything is installed, so it imports the standard library only."""
