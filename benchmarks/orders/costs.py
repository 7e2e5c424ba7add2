"""What each program of the platform has spent: processor seconds and memory, as the kernel counts them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection
from redis import Redis

from benchmarks.sandbox import TICKS_PER_SECOND, cpu_seconds, megabytes


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor seconds and resident megabytes of each program at one moment."""

    seconds: Mapping[str, float]
    memory: Mapping[str, float]

    def since(self, before: "Costs", *, orders: int) -> dict[str, float]:
        """Return the processor milliseconds of one order by program."""
        return {name: (spent - before.seconds[name]) * 1000 / orders for name, spent in self.seconds.items()}


def costs(programs: Mapping[str, int]) -> Costs:
    """Return what programs by name and process number, the servers and this client have spent until now."""
    pids = {**programs, "valkey": _valkey()}
    seconds = {name: cpu_seconds(pid) for name, pid in pids.items()}
    return Costs(
        seconds={**seconds, "postgres": _postgres_seconds(), "client": time.process_time()},
        memory={name: megabytes(pid) for name, pid in programs.items()},
    )


def _valkey() -> int:
    with Redis.from_url(settings.REDIS_URL) as link:
        return int(link.info("server")["process_id"])


def _postgres_seconds() -> float:
    """Add the server, the backends that live and those that it buried."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    postmaster = _fields(Path(f"/proc/{backend}/stat"))[1]
    buried = sum(int(value) for value in _fields(Path(f"/proc/{postmaster}/stat"))[11:15])
    living = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = _fields(path)
        except OSError:
            # It ended between the list and the look: its server has counted it.
            continue
        if fields[1] == postmaster:
            living += int(fields[11]) + int(fields[12])
    return (buried + living) / TICKS_PER_SECOND


def _fields(path: Path) -> list[str]:
    return path.read_text().rpartition(")")[2].split()
