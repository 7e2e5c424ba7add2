"""What beat starts, and when."""

from datetime import timedelta

from celery.schedules import crontab

# In seconds: below, a beat of many options would not end before the next; above, chains look dead.
SHORTEST_CHAIN_BEAT, LONGEST_CHAIN_BEAT = 0.2, 10.0

BEAT_SCHEDULE = {
    **{
        f"pulse of {queue}": {
            "task": "ops.tasks.pulse",
            "schedule": timedelta(seconds=3),
            "args": [queue],
            "options": {"queue": queue, "expires": 6},
        }
        for queue in ("commands", "orders", "greeks", "default")
    },
    "sweep orders": {
        "task": "orders.tasks.sweep",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 4},
    },
    "tie positions": {
        "task": "orders.tasks.tie_positions",
        "schedule": timedelta(seconds=60),
        "options": {"expires": 60},
    },
    "clear halts": {
        "task": "ops.tasks.clear_halts",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 2},
    },
    "reconcile order books": {
        "task": "orders.tasks.reconcile_books",
        "schedule": timedelta(seconds=15),
        "options": {"expires": 15},
    },
    "sweep groups of orders": {
        "task": "orders.tasks.sweep_groups",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 4},
    },
    "read triggers": {
        "task": "orders.tasks.sweep_triggers",
        "schedule": timedelta(seconds=30),
        "options": {"expires": 30},
    },
    "stop accounts": {
        "task": "ops.tasks.stop_accounts",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "sweep webhooks": {
        "task": "webhooks.tasks.sweep",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 4},
    },
    "settle portfolio instructions": {
        "task": "portfolio.tasks.settle_instructions",
        "schedule": timedelta(seconds=20),
        "options": {"expires": 20},
    },
    "record chain minutes": {
        "task": "greeks.tasks.record_minutes",
        "schedule": timedelta(seconds=60),
        "options": {"expires": 30},
    },
    "maintain the option history": {
        "task": "greeks.tasks.maintain_history",
        "schedule": crontab(minute=15, hour="0,12"),
    },
    "restore recovered accounts": {
        "task": "accounts.tasks.restore_recovered",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "look from where orders leave": {
        "task": "accounts.tasks.check_egress",
        "schedule": timedelta(seconds=60),
        "options": {"expires": 60},
    },
    "probe before the open": {
        "task": "accounts.tasks.probe_logins",
        "schedule": crontab(minute="45,55", hour=8),
    },
    "record breakers": {
        "task": "accounts.tasks.record_breakers",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "expire dead tokens": {
        "task": "accounts.tasks.expire_tokens",
        "schedule": timedelta(seconds=60),
        "options": {"expires": 60},
    },
    "export the audit head": {
        "task": "accounts.tasks.export_audit_head",
        "schedule": timedelta(minutes=5),
        "options": {"expires": 300},
    },
    "adjust chain windows": {
        "task": "market_data.tasks.adjust_windows",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "correct candles": {
        "task": "market_data.tasks.correct_candles",
        "schedule": crontab(minute="*/2", hour="0,15-23"),
        "options": {"expires": 110},
    },
    "maintain partitions": {
        "task": "market_data.tasks.maintain_partitions",
        "schedule": crontab(minute=10, hour="0,12"),
    },
    "sync the calendar": {
        "task": "market_data.tasks.sync_calendar",
        "schedule": crontab(minute=0, hour=6),
    },
    "watch what is wrong": {
        "task": "ops.tasks.watch",
        "schedule": timedelta(seconds=10),
        "options": {"expires": 10},
    },
    "read positions": {
        "task": "ops.tasks.read_positions",
        "schedule": crontab(minute="*", hour="9-23", day_of_week="mon-sat"),
        "options": {"expires": 50},
    },
    "read margins": {
        "task": "ops.tasks.read_money",
        "schedule": crontab(minute="*", hour="8-23", day_of_week="mon-sat"),
        "options": {"expires": 50},
    },
    "say alerts": {
        "task": "ops.tasks.say_alerts",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "sync instruments": {
        "task": "market_data.tasks.sync_instruments",
        "schedule": crontab(minute=30, hour=8),
    },
}


def chain_beat(*, seconds: float) -> dict[str, dict[str, object]]:
    """Return the beat of the live chains; a knock that nobody answered before the next is forgotten."""
    return {
        "recompute chains": {
            "task": "greeks.tasks.recompute_chains",
            "schedule": timedelta(seconds=seconds),
            "options": {"expires": seconds},
        }
    }
