"""`python -m sandbox`: start the exchange; `fault` drives one that runs, `record` listens to one."""

from __future__ import annotations

import asyncio
import sys

from sandbox.fault_command import run_fault_command
from sandbox.options import parse_options
from sandbox.recording import run_record_command
from sandbox.server import serve

COMMANDS = {"fault": run_fault_command, "record": run_record_command}

if __name__ == "__main__":
    command = COMMANDS.get("".join(sys.argv[1:2]))
    if command is not None:
        sys.exit(command(sys.argv[2:]))
    asyncio.run(serve(parse_options()))
