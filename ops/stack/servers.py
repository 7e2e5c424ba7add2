"""The embedded servers, PostgreSQL and Valkey, unless the environment names others."""

from collections.abc import Mapping
from pathlib import Path

from ops.stack.postgres import prepare_postgres
from ops.stack.supervisor import Supervisor
from ops.stack.valkey import prepare_valkey


def start_servers(
    *, supervisor: Supervisor, postgres_folder: Path, valkey_folder: Path, environment: Mapping[str, str], durable: bool
) -> dict[str, str]:
    """Start the servers that `environment` does not name and return the addresses of both."""
    addresses = {name: environment[name] for name in ("DATABASE_URL", "REDIS_URL") if environment.get(name)}
    if "DATABASE_URL" not in addresses:
        postgres = prepare_postgres(folder=postgres_folder, environment=environment, durable=durable)
        supervisor.start(postgres.program(environment=environment))
        postgres.create_database()
        addresses["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in addresses:
        valkey = prepare_valkey(folder=valkey_folder, environment=environment)
        supervisor.start(valkey.program(environment=environment))
        addresses["REDIS_URL"] = valkey.url
    return addresses
