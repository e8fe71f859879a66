"""Reading a CSV file whoever wrote it: its bytes, its rows, its columns, and what is refused."""
