"""The audit trail is only ever added to, and the database chains its entries in the order of their commits."""

from django.db import migrations

# The deferred trigger runs at the commit, so that the chain's lock is held for that moment alone and the order of the
# chain is the order in which the entries became visible.
INSTALL = """
CREATE FUNCTION accounts_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only ever added to: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION accounts_audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head accounts_auditlink%ROWTYPE;
    before bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(1635083369);
    SELECT * INTO head FROM accounts_auditlink ORDER BY position DESC LIMIT 1;
    before := coalesce(head.digest, decode(repeat('00', 32), 'hex'));
    INSERT INTO accounts_auditlink (position, entry_id, previous, digest)
    VALUES (
        coalesce(head.position, 0) + 1,
        NEW.id,
        before,
        sha256(before || convert_to(jsonb_build_array(
            NEW.id, extract(epoch FROM NEW.at), NEW.actor, NEW.action, NEW.subject, NEW.reason, NEW.detail
        )::text, 'UTF8'))
    );
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER audit_chain AFTER INSERT ON accounts_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION accounts_audit_chain();
CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_refuse();
CREATE TRIGGER audit_refuse_change BEFORE UPDATE OR DELETE ON accounts_auditlink
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_refuse();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_refuse();
CREATE TRIGGER audit_refuse_truncate BEFORE TRUNCATE ON accounts_auditlink
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_refuse();
"""

REMOVE = """
DROP TRIGGER audit_refuse_truncate ON accounts_auditlink;
DROP TRIGGER audit_refuse_truncate ON accounts_auditentry;
DROP TRIGGER audit_refuse_change ON accounts_auditlink;
DROP TRIGGER audit_refuse_change ON accounts_auditentry;
DROP TRIGGER audit_chain ON accounts_auditentry;
DROP FUNCTION accounts_audit_chain();
DROP FUNCTION accounts_audit_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_audit_link")]

    operations = [migrations.RunSQL(INSTALL, REMOVE)]
