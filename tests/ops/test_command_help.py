"""Every command of ours explains itself: what it does, and each of its options."""

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from accounts.management.operating import OperatorCommand, Trial
from tests.architecture.sources import APPS

OURS = sorted(name for name, app in get_commands().items() if app in APPS)
SERVERS = {
    "run_feed": "runs until it is told to stop, and says what it does in its log",
    "run_recorder": "runs until it is told to stop, and says what it does in its log",
}
READERS = {"accounts", "doctor", "greeks", "verify_audit"}
SHARED = {option.dest for option in BaseCommand().create_parser("manage.py", "any")._actions}


def test_the_commands_are_found() -> None:
    assert {"doctor", "halt", "flatten", "rotate_credentials", "sync_instruments"} <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_a_command_says_what_it_does(name: str) -> None:
    command = load_command_class(get_commands()[name], name)

    assert len(command.help) > 20
    assert command.help.strip() in " ".join(command.create_parser("manage.py", name).format_help().split())


@pytest.mark.parametrize("name", OURS)
def test_a_command_answers_programs_and_says_what_its_exit_codes_mean(name: str) -> None:
    command = load_command_class(get_commands()[name], name)

    printed = command.create_parser("manage.py", name).format_help()

    assert isinstance(command, OperatorCommand) != (name in SERVERS)
    assert ("--json" in printed) != (name in SERVERS)
    assert "exit codes:\n  0 " in printed


@pytest.mark.parametrize("name", sorted(set(OURS) - set(SERVERS)))
def test_a_command_that_changes_something_can_be_tried(name: str) -> None:
    command = load_command_class(get_commands()[name], name)

    options = {
        spelling for each in command.create_parser("manage.py", name)._actions for spelling in each.option_strings
    }
    assert ("--dry-run" in options) != (name in READERS)
    assert isinstance(command, OperatorCommand)
    assert (command.trial == Trial.NONE) == (name in READERS)


@pytest.mark.parametrize("name", OURS)
def test_a_command_explains_each_of_its_arguments(name: str) -> None:
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)

    silent = [option.dest for option in parser._actions if option.dest not in SHARED and not option.help]

    assert silent == []
