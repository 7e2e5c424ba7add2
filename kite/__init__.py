"""Kite Connect: REST, streaming socket and binary frames, without any framework."""
