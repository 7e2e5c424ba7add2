"""The order path in virtual time: thousands of days, each from its seed."""

import os
from datetime import UTC, datetime

import pytest
from django.db import transaction

from accounts.models import BrokerAccount, HaltEpoch
from ops.stack.proving import SEEDS
from tests.factories import CredentialFactory
from tests.orders.simulation.planted import PLANTED
from tests.orders.simulation.world import KINDS, Actors, World
from tests.proving import Numbers

CI_SEEDS = 150
LONG_SEEDS = 200_000
NEVER = datetime(2099, 1, 1, tzinfo=UTC)


@pytest.fixture
def account(db: None) -> BrokerAccount:
    """Return an account whose login outlives every virtual day."""
    HaltEpoch.objects.get_or_create(pk=1)
    account: BrokerAccount = CredentialFactory(live=True, token_expires_at=NEVER).account
    return account


def lived(seed: int, account: BrokerAccount, actors: Actors | None = None) -> tuple[World, list[str]]:
    """Live through one seed's day and take it back."""
    with transaction.atomic():
        world = World(seed=seed, account=account, actors=actors or Actors())
        wrong = world.run()
        transaction.set_rollback(True)
    return world, wrong


def campaign(account: BrokerAccount, numbers: Numbers, *, first: int, seeds: int) -> None:
    wrong: dict[int, list[str]] = {}
    for done in range(seeds):
        world, found = lived(first + done, account)
        numbers.add("kills", world.killed)
        numbers.add("intents", len(world.intents))
        numbers.add("broker orders", len(world.broker.held))
        if found:
            wrong[first + done] = found
        if done % 50 == 0:
            numbers.step(done, seeds)
    numbers.add("seeds", seeds)
    for kind in KINDS:
        numbers.add(kind, sum(text.startswith(f"{kind}:") for texts in wrong.values() for text in texts))
    assert wrong == {}, "each key is a seed: the same seed lives the same day again"


@pytest.mark.proof(id="R02")
def test_no_day_in_virtual_time_duplicates_loses_or_forgets_an_order(account: BrokerAccount, numbers: Numbers) -> None:
    campaign(account, numbers, first=0, seeds=int(os.environ.get(SEEDS, CI_SEEDS)))


@pytest.mark.long
@pytest.mark.proof(id="R02")
def test_no_day_of_two_hundred_thousand_does_either(account: BrokerAccount, numbers: Numbers) -> None:
    campaign(account, numbers, first=1_000_000, seeds=LONG_SEEDS)


@pytest.mark.proof(id="R02")
def test_the_same_seed_lives_the_same_day_again(account: BrokerAccount, numbers: Numbers) -> None:
    for seed in range(5):
        first, _ = lived(seed, account)
        again, _ = lived(seed, account)

        assert first.trace == again.trace
        numbers.add("replayed")


@pytest.mark.parametrize(("name", "seeds"), [(bug.name, bug.seeds) for bug in PLANTED])
@pytest.mark.proof(id="R03")
def test_the_simulation_catches_a_planted_bug(account: BrokerAccount, numbers: Numbers, name: str, seeds: int) -> None:
    actors = next(bug.actors for bug in PLANTED if bug.name == name)

    caught = next((seed for seed in range(seeds) if lived(seed, account, actors(account))[1]), None)

    assert caught is not None, f"{seeds} days and nobody saw it"
    numbers.add("planted bugs")
    numbers.most(f"seeds until {name}", caught + 1)
