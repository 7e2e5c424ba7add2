"""One thing the doctor looked at."""

from dataclasses import dataclass

GREEN, AMBER, RED = "green", "amber", "red"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found; `mend` is empty where nothing needs mending."""

    name: str
    colour: str
    text: str
    mend: str = ""
