"""What goes to people who were not in the room: the model card beside the weights, and one page for a manager."""
