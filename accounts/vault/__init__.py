"""Secrets at rest: an envelope per value, its data key wrapped by a provider."""
