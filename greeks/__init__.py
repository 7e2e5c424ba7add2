"""Implied volatility and sensitivities of option chains, with the provenance of every number."""
