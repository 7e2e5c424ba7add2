"""A test's browser."""

from datetime import UTC, datetime, timedelta

from django.test import Client

from accounts.guards import SignIn
from accounts.models import User
from accounts.sign_ins import MARK


class PanelClient(Client):
    """Signs people in as the panel's pages do: with a sign-in behind the session."""

    def force_login(self, user: User, backend: str | None = None) -> None:
        """Sign in without a password."""
        super().force_login(user, backend)
        now = datetime.now(UTC)
        held = SignIn.objects.create(user=user, began_at=now, seen_at=now, stepped_up_at=now)
        self._mark(held)

    def grow_stale(self, *, by: timedelta = timedelta(minutes=6)) -> None:
        """Let time pass since the person last proved who they are."""
        held = SignIn.objects.get(pk=self.session[MARK])
        SignIn.objects.filter(pk=held.pk).update(stepped_up_at=held.stepped_up_at - by)

    def _mark(self, held: SignIn) -> None:
        session = self.session
        session[MARK] = str(held.pk)
        session.save()
