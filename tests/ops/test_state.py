"""The Desk's JSON and the patches between two of its states."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ops.state import Fact, Json, difference, to_json

leaves = st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
documents = st.recursive(
    leaves | st.lists(leaves, max_size=2),
    lambda inner: st.dictionaries(st.text("xyz", min_size=1, max_size=1), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text("xyz", min_size=1, max_size=1), documents, max_size=3)


def merged(target: Json, patch: Json) -> Any:
    """Apply a patch as RFC 7386 says, which is what the page does."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(before=objects, after=objects)
def test_a_state_and_its_patch_are_the_next_state(before: Any, after: Any) -> None:
    assert merged(before, difference(before=before, after=after)) == after


@given(state=objects)
def test_a_state_that_did_not_change_has_an_empty_patch(state: Any) -> None:
    assert difference(before=state, after=state) == {}


def test_what_is_not_known_is_left_out() -> None:
    assert to_json(Fact(name="Lag p99", unit="ms")) == {"name": "Lag p99", "unit": "ms"}
