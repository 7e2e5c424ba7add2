"""The Celery application that owns the broker sessions of its process."""

import os

from celery import Celery

from accounts.sessions import Sessions


class Worker(Celery):
    """A Celery application whose tasks reach the broker through `self.app.sessions`."""

    _sessions: tuple[int, Sessions] | None = None

    @property
    def sessions(self) -> Sessions:
        """The sessions of this process; a forked child starts its own."""
        if self._sessions is None or self._sessions[0] != os.getpid():
            self._sessions = (os.getpid(), Sessions())
        return self._sessions[1]
