"""A day of orders in virtual time: the product's order code against a model of the broker, driven by a seed."""
