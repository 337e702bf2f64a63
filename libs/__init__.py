"""Code that more than one process runs."""
