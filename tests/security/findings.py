"""Every finding of the two security audits of the former service, and the tests that keep it from coming back."""

ACCOUNTS = "tests/accounts"
FIELDS = f"{ACCOUNTS}/test_fields.py"
VAULT = f"{ACCOUNTS}/test_vault.py"
CONTRACT = f"{ACCOUNTS}/test_vault_contract.py"
IMPORT = f"{ACCOUNTS}/test_import_accounts.py"
TOKENS = f"{ACCOUNTS}/test_tokens.py"
REDACTION = f"{ACCOUNTS}/test_redaction.py"
SIGN_IN = f"{ACCOUNTS}/test_sign_in.py"
KEYS = f"{ACCOUNTS}/test_authentication.py"
AUDIT = f"{ACCOUNTS}/test_audit.py"
A01 = "tests/security/test_a01_access_control.py"
A02 = "tests/security/test_a02_misconfiguration.py"
A03 = "tests/security/test_a03_supply_chain.py"
A04 = "tests/security/test_a04_cryptography.py"
A05 = "tests/security/test_a05_injection.py"
SIGNING, ADDRESSES = "tests/webhooks/test_signing.py", "tests/webhooks/test_addresses.py"
EXECUTION, INTAKE = "tests/orders/test_execution.py", "tests/orders/test_intake.py"

FINDINGS: dict[str, list[tuple[str, str]]] = {
    # The first audit.
    "CVE-TICKER-001 a password in code or defaults": [
        (A02, "test_it_does_not_start_without_a_secret"),
        (A04, "test_the_tree_holds_no_secret"),
    ],
    "CVE-TICKER-002 broker tokens in files": [
        (FIELDS, "test_the_database_never_sees_the_text"),
        (REDACTION, "test_no_secret_of_a_login_reaches_logs_redis_or_the_database"),
    ],
    "CVE-TICKER-003 credentials encoded, not encrypted": [
        (FIELDS, "test_the_same_secret_is_stored_differently_each_time"),
        (FIELDS, "test_one_changed_byte_is_noticed"),
        (IMPORT, "test_every_scheme_is_read"),
        (IMPORT, "test_a_wrong_key_fails_loudly_and_names_row_and_field"),
    ],
    "CVE-TICKER-004 any origin allowed": [(A02, "test_no_origin_but_ours_is_allowed")],
    "CVE-TICKER-005 no limit on authentication": [
        (SIGN_IN, "test_five_wrong_passwords_lock_a_name_at_an_address"),
        (SIGN_IN, "test_thirty_wrong_passwords_lock_an_address_for_every_name"),
        (f"{ACCOUNTS}/test_rates.py", "test_too_many_are_told_when_to_come_back"),
    ],
    "CVE-TICKER-006 services trust each other": [(TOKENS, "test_a_good_token_is_its_user_narrowed_by_its_scope")],
    "CVE-TICKER-007 SQL from strings": [(A05, "test_statements_are_put_together_from_constants_alone")],
    "CVE-TICKER-008 no ownership": [
        (A01, "test_an_account_of_somebody_else_does_not_exist"),
        (A01, "test_no_answer_is_about_an_account_of_somebody_else"),
    ],
    "CVE-TICKER-009 no security headers": [(A02, "test_every_answer_carries_the_headers")],
    "CVE-TICKER-010 credentials in addresses": [
        ("tests/security/test_a07_authentication.py", "test_no_credential_is_read_from_an_address"),
    ],
    "CVE-TICKER-011 errors tell of the inside": [(A02, "test_an_error_tells_nothing_about_the_inside")],
    "CVE-TICKER-012 bodies without a limit": [
        ("tests/ticker_site/test_bounded_body.py", "test_a_declared_length_is_refused_unread"),
    ],
    "CVE-TICKER-013 no audit log": [(AUDIT, "test_entries_are_chained_in_order")],
    "CVE-TICKER-014 intervals and ranges unchecked": [
        ("tests/market_data/test_history.py", "test_a_question_that_cannot_be_answered_is_refused_clearly"),
    ],
    "CVE-TICKER-015 the environment leaks": [(A02, "test_nothing_about_the_inside_is_public")],
    "CVE-TICKER-016 vulnerable dependencies": [(A03, "test_every_package_is_pinned_and_hashed")],
    "CVE-TICKER-017 TOTP seeds weakly kept": [
        (SIGN_IN, "test_the_secret_of_the_app_is_sealed"),
        (IMPORT, "test_passwords_and_tokens_stay_behind"),
    ],
    "CVE-TICKER-018 a breaker that loses data silently": [
        ("tests/market_data/test_spool.py", "test_beyond_the_bound_the_oldest_go_and_are_counted"),
    ],
    "CVE-TICKER-019 redaction by pattern alone": [(REDACTION, "test_a_revealed_secret_is_taken_out_of_texts")],
    "CVE-TICKER-020 session fixation": [(SIGN_IN, "test_signing_in_changes_the_session_key")],
    "CVE-TICKER-021 keys easy to guess": [(KEYS, "test_only_a_keyed_digest_of_a_key_is_stored")],
    "CVE-TICKER-022 webhooks carry a plain secret": [(SIGNING, "test_what_is_signed_cannot_be_changed")],
    "CVE-TICKER-023 keys compared character by character": [(A04, "test_secrets_are_compared_in_constant_time")],
    # The second audit.
    "CRITICAL-001 key check not in constant time": [
        (KEYS, "test_a_wrong_first_and_a_wrong_last_character_take_the_same_time"),
    ],
    "CRITICAL-002 keys of tokens from anywhere": [
        (TOKENS, "test_an_issuer_that_misbehaves_closes_the_door_for_tokens"),
        (TOKENS, "test_a_plain_http_address_is_refused"),
    ],
    "CRITICAL-003 token files in clear": [(FIELDS, "test_the_database_never_sees_the_text")],
    "CRITICAL-004 keys made and logged by themselves": [
        (VAULT, "test_production_refuses_a_ring_that_was_made_automatically"),
        (VAULT, "test_a_ring_does_not_print_its_keys"),
    ],
    "HIGH-001 tokens cannot be revoked": [(TOKENS, "test_a_token_is_refused_after_its_logout")],
    "HIGH-002 sockets outlive their token": [
        ("tests/market_data/test_consumers.py", "test_a_revoked_key_ends_its_socket"),
    ],
    "HIGH-003 any key accepted": [(KEYS, "test_what_is_no_known_key_is_refused_with_the_scheme_named")],
    "HIGH-004 several ciphers": [(CONTRACT, "test_a_wrapped_key_comes_back")],
    "HIGH-005 secrets in readable files": [(VAULT, "test_a_ring_open_to_others_is_refused")],
    "HIGH-006 f-string WHERE": [(A05, "test_statements_are_put_together_from_constants_alone")],
    "HIGH-007 dynamic SET": [(A05, "test_statements_are_put_together_from_constants_alone")],
    "HIGH-008 no HTTPS, no headers": [
        (A02, "test_a_production_has_no_finding"),
        (SIGN_IN, "test_over_https_the_cookies_belong_to_this_host_alone"),
    ],
    "HIGH-009 loose origins in development": [(A02, "test_no_origin_but_ours_is_allowed")],
    "HIGH-010 account routes without roles": [(A01, "test_a_role_without_the_scope_is_refused")],
    "HIGH-011 tokens replayed": [
        (TOKENS, "test_a_token_is_refused_after_its_logout"),
        (SIGN_IN, "test_a_code_counts_once"),
    ],
    "MEDIUM-001 secrets logged masked": [(REDACTION, "test_a_log_line_and_its_traceback_hold_no_secret")],
    "MEDIUM-002 file paths chosen by callers": [(A05, "test_a_body_stays_a_value")],
    "MEDIUM-003 tokens and ids in logs": [
        (REDACTION, "test_an_api_key_is_taken_out_of_texts_and_its_public_part_stays")
    ],
    "MEDIUM-004 internals in errors": [(A02, "test_an_error_tells_nothing_about_the_inside")],
    "MEDIUM-005 authentication not throttled": [(SIGN_IN, "test_five_wrong_passwords_lock_a_name_at_an_address")],
    "MEDIUM-006 loose umask": [(VAULT, "test_a_ring_is_written_for_its_owner_alone")],
    "MEDIUM-007 old packages": [(A03, "test_every_package_is_pinned_and_hashed")],
    "MEDIUM-008 debug in production": [(A02, "test_debug_in_production_is_refused")],
    "MEDIUM-009 idempotency keys derived": [
        (INTAKE, "test_the_same_key_with_another_body_is_refused"),
        (INTAKE, "test_the_same_content_at_another_price_is_another_order"),
    ],
    "LOW-001 headers": [(A02, "test_every_answer_carries_the_headers")],
    "LOW-002 database words in errors": [
        ("tests/ticker_site/test_database.py", "test_a_lock_that_is_held_too_long_is_a_503_to_repeat"),
    ],
    "LOW-003 webhooks reach inside": [
        (ADDRESSES, "test_an_address_that_is_not_public_is_refused"),
        (ADDRESSES, "test_every_private_network_of_the_register_is_refused"),
    ],
    "LOW-004 trading activity in logs": [(REDACTION, "test_a_log_line_and_its_traceback_hold_no_secret")],
    # Found by reading, in neither audit.
    "FOUND-001 order, portfolio, GTT, fund, sync and subscription routes open": [
        (A01, "test_a_stranger_is_not_let_in"),
        (A01, "test_the_open_routes_are_the_known_ones"),
    ],
    "FOUND-002 a parameter that shows every secret": [(f"{ACCOUNTS}/test_api.py", "test_no_answer_holds_a_secret")],
    "FOUND-003 secrets in the tree and its documents": [(A04, "test_the_tree_holds_no_secret")],
    "FOUND-004 one order placed five times": [(EXECUTION, "test_an_order_in_doubt_is_never_sent_again")],
}
