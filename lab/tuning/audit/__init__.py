"""What stands in a data set besides its labels: copies, near copies, damaged signs, words that give the label away."""
