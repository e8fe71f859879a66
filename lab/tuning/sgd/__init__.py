"""The backup lab: TF-IDF and a linear classifier, trained step by step."""
