"""What no writer may do, held by the database: move an order to another account, skip a state, rewrite history."""

from django.db import migrations

GUARDS = """
CREATE FUNCTION orders_order_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.account_id <> OLD.account_id OR NEW.number <> OLD.number OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'the account and the number of an order never change' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'AWAITING_APPROVAL>READY',
        'AWAITING_APPROVAL>DENIED',
        'AWAITING_APPROVAL>WITHDRAWN',
        'AWAITING_APPROVAL>EXPIRED_LOCAL',
        'READY>CLAIMED',
        'READY>DENIED',
        'READY>WITHDRAWN',
        'READY>EXPIRED_LOCAL',
        'READY>ACKED',
        'CLAIMED>READY',
        'CLAIMED>SENDING',
        'CLAIMED>DENIED',
        'CLAIMED>EXPIRED_LOCAL',
        'CLAIMED>ACKED',
        'SENDING>READY',
        'SENDING>UNKNOWN',
        'SENDING>REJECTED',
        'SENDING>ACKED',
        'UNKNOWN>NOT_PLACED',
        'UNKNOWN>ACKED',
        'NOT_PLACED>ADOPTED_LATE',
        'DENIED>ADOPTED_LATE',
        'WITHDRAWN>ADOPTED_LATE',
        'EXPIRED_LOCAL>ADOPTED_LATE',
        'REJECTED>ADOPTED_LATE',
        'ADOPTED_LATE>OPEN',
        'ADOPTED_LATE>PARTIAL',
        'ADOPTED_LATE>COMPLETE',
        'ADOPTED_LATE>CANCELLED',
        'ADOPTED_LATE>REJECTED_RMS',
        'ADOPTED_LATE>EXPIRED',
        'ACKED>OPEN',
        'ACKED>PARTIAL',
        'ACKED>COMPLETE',
        'ACKED>CANCELLED',
        'ACKED>REJECTED_RMS',
        'ACKED>EXPIRED',
        'OPEN>PARTIAL',
        'OPEN>COMPLETE',
        'OPEN>CANCELLED',
        'OPEN>REJECTED_RMS',
        'OPEN>EXPIRED',
        'PARTIAL>COMPLETE',
        'PARTIAL>CANCELLED',
        'PARTIAL>REJECTED_RMS',
        'PARTIAL>EXPIRED',
        'EXPIRED>COMPLETE',
        'EXPIRED>CANCELLED',
        'EXPIRED>REJECTED_RMS'
    ]) THEN
        RAISE EXCEPTION 'an order cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.filled_quantity < OLD.filled_quantity OR NEW.sequence < OLD.sequence THEN
        RAISE EXCEPTION 'fills and sequences only grow' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_order_guard BEFORE UPDATE ON orders_order FOR EACH ROW EXECUTE FUNCTION orders_order_guard();

CREATE FUNCTION orders_command_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.order_id <> OLD.order_id OR NEW.kind <> OLD.kind THEN
        RAISE EXCEPTION 'a command never changes its order' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (ARRAY[
        'READY>CLAIMED',
        'READY>DONE',
        'READY>REJECTED',
        'READY>EXPIRED',
        'CLAIMED>READY',
        'CLAIMED>SENDING',
        'SENDING>READY',
        'SENDING>UNKNOWN',
        'SENDING>DONE',
        'SENDING>REJECTED',
        'UNKNOWN>READY',
        'UNKNOWN>DONE',
        'UNKNOWN>REJECTED'
    ]) THEN
        RAISE EXCEPTION 'a command cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_command_guard
    BEFORE UPDATE ON orders_ordercommand FOR EACH ROW EXECUTE FUNCTION orders_command_guard();

CREATE FUNCTION orders_only_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER orders_event_only_added
    BEFORE UPDATE OR DELETE ON orders_orderevent FOR EACH ROW EXECUTE FUNCTION orders_only_added();
CREATE TRIGGER orders_trade_only_added
    BEFORE UPDATE OR DELETE ON orders_trade FOR EACH ROW EXECUTE FUNCTION orders_only_added();
CREATE TRIGGER orders_order_never_deleted
    BEFORE DELETE ON orders_order FOR EACH ROW EXECUTE FUNCTION orders_only_added();
"""

UNGUARD = """
DROP TRIGGER orders_order_never_deleted ON orders_order;
DROP TRIGGER orders_trade_only_added ON orders_trade;
DROP TRIGGER orders_event_only_added ON orders_orderevent;
DROP FUNCTION orders_only_added();
DROP TRIGGER orders_command_guard ON orders_ordercommand;
DROP FUNCTION orders_command_guard();
DROP TRIGGER orders_order_guard ON orders_order;
DROP FUNCTION orders_order_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [migrations.RunSQL(GUARDS, UNGUARD)]
