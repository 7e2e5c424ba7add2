"""What the order path costs."""
