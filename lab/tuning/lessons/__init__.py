"""Small experiments inside notebook 01: one step under the microscope, and what the model forgot."""
