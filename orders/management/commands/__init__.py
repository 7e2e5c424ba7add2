"""Commands of the order path."""
