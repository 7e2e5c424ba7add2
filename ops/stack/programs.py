"""The programs of the platform: this is the whole table."""

import http.client
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.stack.program import Program, Stage

ROOT = Path(__file__).resolve().parents[2]
BYTECODE = ROOT / "var" / "bytecode"
MANAGE = (sys.executable, "manage.py")
# As root, Celery warns at length of pickled messages; ours are JSON, and no other is accepted.
CELERY = (sys.executable, "-W", "ignore:::celery.platforms", "-m", "celery", "--quiet", "-A", "ticker_site.celery")
# The workers need none of the chatter between workers: no task is routed by it.
LONELY = ("--without-gossip", "--without-mingle", "--without-heartbeat")
GRACE_SECONDS = 4
# A web process or a thread pool keeps this many database connections at most; PostgreSQL allows 200.
POOL = "8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the platform listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)
        return f"http://{host}:{self.port}"


def platform_programs(*, environment: Mapping[str, str], place: Place, listener: int) -> tuple[Program, ...]:
    """Return every long-running program. `listener` is the file number of the web process's socket."""

    def program(
        name: str,
        *command: str,
        stage: Stage = Stage.EDGE,
        ready_text: str = "",
        pool: str = "",
    ) -> Program:
        pooled = {"DATABASE_POOL": pool} if pool else {}
        return Program(
            name=name,
            command=command,
            folder=ROOT,
            environment={**environment, **pooled},
            stage=stage,
            ready_text=ready_text,
            stop_seconds=GRACE_SECONDS + 2,
        )

    return (
        web(environment={**environment, "DATABASE_POOL": POOL}, place=place, listener=listener),
        program("feed", *MANAGE, "run_feed"),
        program("recorder", *MANAGE, "run_recorder"),
        program(
            "worker",
            *(
                *CELERY,
                "worker",
                "-n",
                "orders@%h",
                "-Q",
                "commands,orders,default",
                "-P",
                "threads",
                "-c",
                POOL,
                *LONELY,
            ),
            stage=Stage.WORKER,
            ready_text=" ready.",
            pool=POOL,
        ),
        program(
            "greeks",
            *(*CELERY, "worker", "-n", "greeks@%h", "-Q", "greeks", "-P", "solo", *LONELY),
            stage=Stage.WORKER,
            ready_text=" ready.",
        ),
        program("beat", *CELERY, "beat", "--pidfile="),
    )


def web(*, environment: Mapping[str, str], place: Place, listener: int) -> Program:
    """Return the web process: HTTP, and the WebSockets of this machine."""
    options = (
        *("--fd", str(listener), "--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log"),
        *("--ws-per-message-deflate", "false", "--ws-max-size", "65536"),
        *("--ws-ping-interval", "20", "--ws-ping-timeout", "20"),
        *("--timeout-graceful-shutdown", str(GRACE_SECONDS)),
    )
    return Program(
        name="web",
        command=(sys.executable, "-m", "uvicorn", "ticker_site.asgi:application", *options),
        folder=ROOT,
        environment=environment,
        pass_fds=(listener,),
        # Its socket is open before it is: asking too early would wait for an answer.
        ready_text="Uvicorn running",
        ready=lambda _: serves(place=place),
        stop_seconds=GRACE_SECONDS + 2,
    )


def sandbox(*, environment: Mapping[str, str], port: int, credentials: Path, redirect: str) -> Program:
    """Return the sandbox exchange. It stands outside: it knows no setting of ours but the redirect address."""
    words = (
        *("--port", str(port), "--redirect", redirect, "--credentials-file", str(credentials)),
        # Its day is ours, so that tick times, expiries and the death of tokens agree; its sessions are always open.
        *("--clock", "live"),
        # It forgets nothing when it is killed: orders must be found again.
        *("--state", str(credentials.with_name("state.json"))),
    )
    return Program(
        name="sandbox",
        command=(sys.executable, "-m", "sandbox", *words),
        folder=ROOT,
        environment=environment,
        stage=Stage.EXCHANGE,
        death_signal=signal.SIGTERM,
        ready_text="sandbox ready",
    )


def command(*, environment: Mapping[str, str], words: tuple[str, ...]) -> Program:
    """Return one `manage.py` command."""
    return Program(name=words[0], command=(*MANAGE, *words), folder=ROOT, environment=environment)


def serves(*, place: Place) -> bool:
    """Say whether the place answers HTTP with anything but a failure of its own."""
    host = place.url.removeprefix("http://").rpartition(":")[0].strip("[]")
    link = http.client.HTTPConnection(host, place.port, timeout=3)
    try:
        link.request("GET", "/")
        return link.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
