"""Users, broker accounts, credentials, sessions, API keys and the audit trail."""
