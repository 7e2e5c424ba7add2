"""One REDIS_URL in the spellings that redis-py, channels-redis and Celery want."""

from urllib.parse import parse_qs, urlsplit


def broker_url(redis_url: str) -> str:
    """Return the Celery spelling of a redis-py URL."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    credentials = f"{parts.netloc}" if parts.netloc else ""
    return f"redis+socket://{credentials}{parts.path}?virtual_host={database}"


def channel_layer_host(redis_url: str) -> dict[str, object]:
    """Return a channels-redis host entry with time-outs that let an idle consumer live.

    redis-py 8 reads with a 5 s time-out and a pool of 100 by default; a blocking read then kills idle consumers.
    """
    return {
        "address": redis_url,
        "socket_timeout": None,
        "socket_connect_timeout": 3,
        "max_connections": 1000,
        "health_check_interval": 15,
    }
