"""What the REST API costs, and that its lists do not grow dearer with their tables."""
