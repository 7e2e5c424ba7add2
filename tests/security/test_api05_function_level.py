"""API5: the verbs of the Desk and of the admin belong to the roles that hold their scope."""

import pytest
from redis import Redis

from accounts.models import User
from accounts.queries import ROLE_SCOPES
from ops.verbs import VERBS
from tests.factories import BrokerAccountFactory, UserFactory
from tests.panel_client import PanelClient

LOWER = [role for role in User.Role if "ops:write" not in ROLE_SCOPES[role]]


@pytest.mark.parametrize("role", LOWER, ids=str)
@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_verb_of_the_desk_is_refused_to_a_lower_role(db: None, clean_redis: Redis, role: str, verb: str) -> None:
    user: User = UserFactory(role=role, is_staff=True)
    user.accounts.add(BrokerAccountFactory(label="own"))
    browser = PanelClient()
    browser.force_login(user)

    answer = browser.post(f"/admin/desk/verbs/{verb}", {"target": "own", "reason": "I want to", "text": "own"})

    assert answer.status_code == 403
