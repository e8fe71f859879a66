"""From the Markdown of the slides to the slides: reading it, fitting tables, and what pandoc leaves out."""
