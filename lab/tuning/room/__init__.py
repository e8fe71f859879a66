"""What goes from group to group: share lines, the board, the clinic and the slide of results."""
