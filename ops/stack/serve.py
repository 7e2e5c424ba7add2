"""Serve the web process alone, with the same options as `./run`: what the container image does."""

import os

from ops.stack.programs import Place, web
from ops.stack.sockets import open_listener

PORT = 8000


def main() -> None:
    """Open the socket, then become the web process."""
    place = Place(host=os.environ.get("HOST", "0.0.0.0"), port=int(os.environ.get("PORT", PORT)))  # noqa: S104 (a container)
    listener = open_listener(host=place.host, port=place.port, strict=True)
    program = web(environment=os.environ, place=place, listener=listener.fileno())
    listener.set_inheritable(True)
    os.chdir(program.folder)
    os.execve(program.command[0], program.command, program.environment)


if __name__ == "__main__":
    main()
