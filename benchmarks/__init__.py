"""How fast training is, against common practice and against what the machine could do."""
