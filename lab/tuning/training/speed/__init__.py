"""All that departs from the plain Trainer, with what each part changes and gains."""
