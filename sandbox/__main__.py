"""`python -m sandbox`: start the exchange; `python -m sandbox fault`: drive one that runs."""

from __future__ import annotations

import asyncio
import sys

from sandbox.fault_command import run_fault_command
from sandbox.options import parse_options
from sandbox.server import serve

if __name__ == "__main__":
    if sys.argv[1:2] == ["fault"]:
        sys.exit(run_fault_command(sys.argv[2:]))
    asyncio.run(serve(parse_options()))
