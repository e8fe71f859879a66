"""What a learner hands in: predictions, the experiment log, the worksheet and its export, and the archive of both."""
