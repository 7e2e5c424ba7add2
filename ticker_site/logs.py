"""Structured logs: JSON lines in production, coloured columns at a terminal."""

import sys
from typing import Any
from urllib.parse import quote

import structlog

from accounts.redaction import redact_line


def named(request: Any) -> str:
    """Return a request's method and path: the broker's page brings a login back in the query."""
    return f"{request.method} {quote(request.path)}"


def name_request(_logger: object, _name: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Put a request's name in its place: what Django logs of a refusal carries the request, query and all."""
    if hasattr(event.get("request"), "get_full_path"):
        event["request"] = named(event["request"])
    return event


SHARED_PROCESSORS: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    name_request,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def logging_config(*, json: bool, level: str) -> dict[str, object]:
    """Return Django's LOGGING and set structlog up to write through it."""
    structlog.configure(
        processors=[*SHARED_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.types.Processor = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if json:
        renderer = structlog.processors.JSONRenderer()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": SHARED_PROCESSORS,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    renderer,
                    redact_line,
                ],
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.server": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "celery": {"level": "WARNING"},
            # It says when a worker is ready, which the supervisor waits for.
            "celery.apps.worker": {"level": "INFO"},
            "websockets": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
        },
    }
