"""Composition of the platform: settings, URLs and process entry points."""
