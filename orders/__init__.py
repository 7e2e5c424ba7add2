"""The order's whole life, from intent to execution."""
