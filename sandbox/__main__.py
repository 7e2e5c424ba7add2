"""`python -m sandbox`: start the exchange."""

from __future__ import annotations

import asyncio

from sandbox.options import parse_options
from sandbox.server import serve

if __name__ == "__main__":
    asyncio.run(serve(parse_options()))
