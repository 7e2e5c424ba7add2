"""Commands of the Greeks."""
