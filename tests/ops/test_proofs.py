"""What a proof says, and what it refuses to say."""

import pytest

from ops.stack.proofs import Proof, at_least, exactly
from ops.stack.proving import Progress, command_of, judge
from ops.stack.requirements import PROOFS
from tests.architecture.sources import ROOT

PROOF = Proof(id="R99", sentence="It holds.", tests=("tests/x.py",), bounds=(exactly("lost", 0),))


def progress(*entries: dict[str, object]) -> Progress:
    made = Progress()
    for entry in entries:
        made.take(entry)
    return made


def ended(outcome: str = "passed") -> dict[str, object]:
    return {"kind": "done", "test": "t", "outcome": outcome}


def number(name: str, value: float, how: str = "sum") -> dict[str, object]:
    return {"kind": "number", "name": name, "how": how, "value": value}


def test_a_proof_whose_tests_pass_and_whose_numbers_keep_their_bounds_holds() -> None:
    assert judge(proof=PROOF, progress=progress(number("lost", 0), ended()), code=0, long=False) == ("holds", [])


@pytest.mark.parametrize(
    ("seen", "code", "verdict"),
    [
        (progress(number("lost", 1), ended()), 0, "broken"),
        (progress(number("lost", 0), ended("failed")), 1, "broken"),
        (progress(ended()), 0, "not shown"),
        (progress(number("lost", 0)), 0, "not shown"),
        (progress(number("lost", 0), ended(), ended("skipped")), 0, "not shown"),
        (progress(number("lost", 0), ended()), 2, "not shown"),
    ],
    ids=["bound broken", "test failed", "nobody counted", "no test", "test skipped", "tests did not run"],
)
def test_anything_less_does_not_hold(seen: Progress, code: int, verdict: str) -> None:
    assert judge(proof=PROOF, progress=seen, code=code, long=False)[0] == verdict


def test_numbers_add_up_or_keep_their_extreme() -> None:
    seen = progress(
        number("a", 1), number("a", 2), number("b", 3, "most"), number("b", 2, "most"), number("c", 3, "least")
    )

    assert seen.numbers == {"a": 3, "b": 3, "c": 3}


def test_the_long_bounds_are_judged_only_in_a_long_proof() -> None:
    proof = Proof(id="R99", sentence="", tests=(), long_bounds=(at_least("seeds", 10),))
    seen = progress(number("seeds", 5), ended())

    assert judge(proof=proof, progress=seen, code=0, long=False)[0] == "holds"
    assert judge(proof=proof, progress=seen, code=0, long=True)[0] == "broken"


def test_a_short_proof_leaves_the_campaigns_out() -> None:
    assert "proof(id='R99') and not long" in command_of(proof=PROOF, long=False)
    assert "proof(id='R99')" in command_of(proof=PROOF, long=True)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.id)
def test_every_requirement_has_marked_tests_that_count_its_numbers(proof: Proof) -> None:
    texts = [(ROOT / path).read_text() for path in proof.tests]

    assert any(f'proof(id="{proof.id}")' in text for text in texts)
    assert proof.sentence.endswith(".")
    assert len({one.id for one in PROOFS}) == len(PROOFS)
