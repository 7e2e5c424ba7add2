"""The exchange under test."""

from tests.sandbox_server import sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]
