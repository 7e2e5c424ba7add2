"""Rows most tests need, with the fewest fields."""

from datetime import UTC, datetime, timedelta

import factory
from factory.django import DjangoModelFactory

from accounts.models import AccountGroup, BrokerAccount, Credential, User
from accounts.queries import Principal, principal_of
from tests.canaries import canary


class UserFactory(DjangoModelFactory[User]):
    """A person who may do nothing yet."""

    class Meta:
        model = User

    username = factory.Sequence(lambda number: f"person-{number}")

    class Params:
        administrator = factory.Trait(role=User.Role.ADMINISTRATOR, every_account=True)
        superuser = factory.Trait(is_staff=True, is_superuser=True)


class AccountGroupFactory(DjangoModelFactory[AccountGroup]):
    """A family."""

    class Meta:
        model = AccountGroup

    name = factory.Sequence(lambda number: f"family {number}")


class BrokerAccountFactory(DjangoModelFactory[BrokerAccount]):
    """An active account without credentials."""

    class Meta:
        model = BrokerAccount

    label = factory.Sequence(lambda number: f"account-{number}")
    broker_user_id = factory.Sequence(lambda number: f"AB{number:04}")


class CredentialFactory(DjangoModelFactory[Credential]):
    """The current version; `live=True` adds an access token that lives for an hour."""

    class Meta:
        model = Credential

    account = factory.SubFactory(BrokerAccountFactory)
    version = 1
    api_key = factory.Sequence(lambda number: f"apikey{number:010}")
    api_secret = factory.Sequence(canary)

    class Params:
        live = factory.Trait(
            access_token=factory.Sequence(lambda number: canary(10**9 + number)),
            token_expires_at=factory.LazyFunction(lambda: datetime.now(UTC) + timedelta(hours=1)),
        )


def principal(*, role: str = User.Role.ADMINISTRATOR) -> Principal:
    """Return the principal of a fresh user who sees every account."""
    return principal_of(UserFactory(role=role, every_account=True))
