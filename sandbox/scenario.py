"""Scenarios: files of timed control steps, so that a bad day can be repeated from a seed."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from sandbox.control_actions import inject, jump_target, move_price
from sandbox.site import Site

FOLDER = Path(__file__).parent / "scenarios"
ACTIONS = ("fault", "clear", "price", "clock", "settings")


@dataclass(frozen=True, slots=True)
class Step:
    """One action `at` seconds after the start."""

    at: float
    action: str
    spec: dict[str, object]


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: str
    steps: list[Step]


def read_scenario(path: Path) -> Scenario:
    """Read `{"title", "steps": [{"at": 0, "fault": {…}}, …]}`; raise ValueError on what it does not know."""
    document = json.loads(path.read_text(encoding="utf-8"))
    steps = []
    for row in document["steps"]:
        action = next((name for name in ACTIONS if name in row), None)
        if action is None:
            raise ValueError(f"step {row} names none of {', '.join(ACTIONS)}")
        spec = row[action]
        steps.append(Step(float(row["at"]), action, spec if isinstance(spec, dict) else {}))
    return Scenario(path.stem, str(document["title"]), sorted(steps, key=lambda step: step.at))


def known_scenarios() -> list[Scenario]:
    return [read_scenario(path) for path in sorted(FOLDER.glob("*.json"))]


def find_scenario(name: str) -> Scenario:
    for scenario in known_scenarios():
        if scenario.name == name:
            return scenario
    raise ValueError(f"no scenario {name}; known: {', '.join(one.name for one in known_scenarios())}")


async def play(site: Site, scenario: Scenario) -> None:
    """Carry out every step at its time."""
    elapsed = 0.0
    for step in scenario.steps:
        await asyncio.sleep(max(step.at - elapsed, 0.0))
        elapsed = max(step.at, elapsed)
        carry_out(site, step)


def carry_out(site: Site, step: Step) -> None:
    spec = step.spec
    if step.action == "fault":
        inject(site, spec)
    elif step.action == "clear":
        site.faults.clear()
    elif step.action == "price":
        move_price(site, key=str(spec["instrument"]), price=float(str(spec["price"])))
    elif step.action == "settings":
        site.settings.change(spec)
    elif "jump" in spec:
        site.jump(jump_target(site, str(spec["jump"])))
    elif "speed" in spec:
        site.clock.set_speed(float(str(spec["speed"])))
