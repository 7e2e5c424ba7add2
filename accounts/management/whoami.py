"""Who runs a command, for the audit trail."""

import getpass


def operator_name() -> str:
    """Return the name of the operating system's user, marked as one."""
    return f"{getpass.getuser()} (shell)"
