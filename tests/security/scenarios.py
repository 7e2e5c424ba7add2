"""The 32 scenarios that the former service asked a security suite for, and the tests that play each."""

A01, A02 = "tests/security/test_a01_access_control.py", "tests/security/test_a02_misconfiguration.py"
A05, A08 = "tests/security/test_a05_injection.py", "tests/security/test_a08_integrity.py"
API01 = "tests/security/test_api01_object_level.py"
API02 = "tests/security/test_api02_authentication.py"
API04 = "tests/security/test_api04_resource_consumption.py"
API05 = "tests/security/test_api05_function_level.py"
API07 = "tests/security/test_api07_ssrf.py"
API08 = "tests/security/test_api08_misconfiguration.py"
KEYS, TOKENS = "tests/accounts/test_authentication.py", "tests/accounts/test_tokens.py"
RATES, REDACTION = "tests/accounts/test_rates.py", "tests/accounts/test_redaction.py"
SIGN_IN, PARSERS = "tests/accounts/test_sign_in.py", "tests/accounts/test_parsers.py"
BODY, DELIVERY = "tests/ticker_site/test_bounded_body.py", "tests/webhooks/test_delivery.py"
DEPLOYMENT = "tests/ops/test_deployment.py"
SEMGREP = "tests/security/test_semgrep_rules.py"

SCENARIOS: dict[str, list[tuple[str, str]]] = {
    "SEC-001 nobody": [(A01, "test_a_stranger_is_not_let_in")],
    "SEC-002 an invalid credential": [(API02, "test_what_is_no_key_is_refused")],
    "SEC-003 an expired credential": [(KEYS, "test_an_expired_key_is_refused")],
    "SEC-004 a tampered token": [(TOKENS, "test_a_bad_token_is_not_let_in")],
    "SEC-005 a key that is not known": [(KEYS, "test_one_wrong_character_refuses_a_key")],
    "SEC-006 the account of an equal": [
        (A01, "test_an_account_of_somebody_else_does_not_exist"),
        (API01, "test_a_known_id_of_a_foreign_account_is_unknown"),
    ],
    "SEC-007 the rights of a higher role": [
        (A01, "test_a_role_without_the_scope_is_refused"),
        (API05, "test_a_verb_of_the_desk_is_refused_to_a_lower_role"),
    ],
    "SEC-008 a session fixed beforehand": [(SIGN_IN, "test_signing_in_changes_the_session_key")],
    "SEC-009 SQL in a query": [(A05, "test_a_query_stays_a_value")],
    "SEC-010 SQL in a body": [(A05, "test_a_body_stays_a_value")],
    "SEC-011 commands for Redis": [(A05, "test_a_query_stays_a_value")],
    "SEC-012 a shell command": [(A05, "test_a_body_stays_a_value")],
    "SEC-013 an LDAP or XPath filter": [(A05, "test_a_query_stays_a_value")],
    "SEC-014 an XML entity": [
        (A05, "test_a_body_stays_a_value"),
        (A02, "test_an_unknown_content_type_is_named"),
    ],
    "SEC-015 a template": [(A05, "test_a_body_stays_a_value")],
    "SEC-016 a statement made of text": [(A05, "test_statements_are_put_together_from_constants_alone")],
    "SEC-017 a body too large": [
        (BODY, "test_a_declared_length_is_refused_unread"),
        (BODY, "test_an_undeclared_body_is_cut_at_the_limit"),
    ],
    "SEC-018 an upload": [(API08, "test_a_form_is_not_taken_for_json")],
    "SEC-019 a path that climbs": [(A05, "test_a_path_stays_a_value")],
    "SEC-020 a header of the caller's": [(A02, "test_a_foreign_host_is_refused")],
    "SEC-021 a line break in a header": [(A05, "test_a_query_stays_a_value")],
    "SEC-022 a name twice": [(PARSERS, "test_a_bad_body_is_refused_with_its_reason")],
    "SEC-023 an address inside": [(API07, "test_a_webhook_cannot_point_inside")],
    "SEC-024 the metadata of a cloud": [(API07, "test_a_webhook_cannot_point_inside")],
    "SEC-025 a name that moves inside": [(DELIVERY, "test_a_name_that_moved_inside_is_not_followed")],
    "SEC-026 objects out of data": [
        (A08, "test_workers_take_json_alone"),
        (SEMGREP, "test_a_rule_bites_and_lets_its_neighbour_pass"),
    ],
    "SEC-027 too many requests": [(RATES, "test_too_many_are_told_when_to_come_back")],
    "SEC-028 too many from many places": [(RATES, "test_two_processes_share_one_count")],
    "SEC-029 a request that drips": [
        (BODY, "test_a_body_that_drips_is_given_up"),
        (DEPLOYMENT, "test_the_proxy_waits_for_no_client_that_drips"),
        (DELIVERY, "test_a_receiver_that_drips_is_given_up"),
    ],
    "SEC-030 an error that tells of the inside": [(A02, "test_an_error_tells_nothing_about_the_inside")],
    "SEC-031 personal data in the log": [(REDACTION, "test_a_log_line_and_its_traceback_hold_no_secret")],
    "SEC-032 a credential in an answer": [
        ("tests/accounts/test_api.py", "test_no_answer_holds_a_secret"),
        ("tests/security/test_api03_property_level.py", "test_no_answer_has_a_field_for_a_secret"),
    ],
}
