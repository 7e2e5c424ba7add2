"""The beat of the live chains."""

import structlog
from celery import shared_task
from django.db import transaction
from django.utils import timezone

from greeks import chains, history, option_store, queries
from market_data.bus import sync_bus

log = structlog.get_logger(__name__)


@shared_task
def recompute_chains(**_: object) -> None:
    """Value every live chain once, unless another worker is at it."""
    with transaction.atomic():
        if not queries.take_lease():
            log.info("greeks.recompute.lease_held")
            return
        report = chains.engine().recompute(now=timezone.now())
    log.debug("greeks.recompute.done", chains=report.chains, options=report.options, solved=report.solved)


@shared_task
def record_minutes(**_: object) -> None:
    """Keep this minute of every live chain and of its options."""
    now = timezone.now()
    kept = history.record(bus=sync_bus(), now=now)
    options = history.record_options(bus=sync_bus(), now=now)
    log.debug("greeks.history.recorded", chains=kept, options=options)


@shared_task
def maintain_history(**_: object) -> None:
    """Make the days ahead of the option history and drop the old ones."""
    made, dropped = option_store.MINUTES.maintain(now=timezone.now())
    log.info("greeks.history.maintained", made=made, dropped=dropped)
