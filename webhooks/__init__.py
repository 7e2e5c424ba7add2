"""Tells other systems of events over HTTP: signed, sent again until they answer, and never to a private address."""
