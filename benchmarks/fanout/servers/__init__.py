"""The web processes that are measured: one module a peer, each served by uvicorn."""
