"""Session and user endpoints."""

from __future__ import annotations

import time

from sandbox.accounts import Session, User
from sandbox.call import Call, Route
from sandbox.clock import stamp
from sandbox.errors import input_error, token_error
from sandbox.params import required

EXCHANGES = ["NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "MF"]
PRODUCTS = ["CNC", "NRML", "MIS", "BO", "CO"]
ORDER_TYPES = ["MARKET", "LIMIT", "SL", "SL-M"]


async def generate_session(call: Call) -> object:
    form = {name: str(value) for name, value in call.form.items()}
    logins, clock = call.site.logins, call.site.clock
    owner = logins.owner_of(form.get("api_key", ""))
    call.entry.user_id = owner.user_id if owner else None
    user = logins.exchange(
        api_key=required(form, "api_key"), request_token=required(form, "request_token"),
        checksum=required(form, "checksum"), monotonic=time.monotonic(),
    )  # fmt: skip
    session = logins.open(user=user, now=clock.now())
    call.site.reap_sessions()
    return session_row(user, session)


async def delete_session(call: Call) -> object:
    api_key, access_token = call.query.get("api_key", ""), call.query.get("access_token", "")
    if call.query.get("refresh_token"):
        raise input_error("Invalid `refresh_token`.")
    user, _ = call.site.logins.find(api_key=api_key, access_token=access_token, now=call.site.clock.now())
    call.entry.user_id = user.user_id
    call.site.logins.kill(user_id=user.user_id, access_token=access_token)
    call.site.reap_sessions()
    return True


async def renew_session(_call: Call) -> object:
    raise token_error("Refresh tokens are available to approved platforms only.")


def session_row(user: User, session: Session) -> dict[str, object]:
    row = profile_row(user)
    return {
        **row,
        "api_key": user.api_key,
        "access_token": session.access_token,
        "public_token": session.public_token,
        "enctoken": session.enctoken,
        "refresh_token": "",
        "silo": "",
        "login_time": stamp(session.login_at),
    }


def profile_row(user: User) -> dict[str, object]:
    return {
        "user_id": user.user_id,
        "user_type": "individual",
        "email": user.email,
        "user_name": user.user_name,
        "user_shortname": user.user_name.split()[0],
        "broker": "ZERODHA",
        "exchanges": EXCHANGES,
        "products": PRODUCTS,
        "order_types": ORDER_TYPES,
        "avatar_url": None,
        "meta": {"demat_consent": "physical"},
    }


async def profile(call: Call) -> object:
    return profile_row(call.caller)


async def full_profile(call: Call) -> object:
    user = call.caller
    return {
        **profile_row(user),
        "twofa_type": "totp" if user.totp_secret else "pin",
        "phone": "*0000",
        "bank_accounts": [{"name": "SANDBOX BANK", "branch": "", "account": "*0000"}],
        "dp_ids": ["1208160000000000"],
        "pan": "*000X",
        "tags": [],
        "password_timestamp": "1970-01-01 00:00:00",
        "twofa_timestamp": "1970-01-01 00:00:00",
        "meta": {"poa": "physical", "silo": "x", "account_blocks": []},
    }


async def margins(call: Call) -> object:
    return {segment: _segment(call, segment) for segment in ("equity", "commodity")}


async def segment_margins(call: Call) -> object:
    segment = call.arg("segment")
    if segment not in {"equity", "commodity"}:
        raise input_error("Invalid `segment`.")
    return _segment(call, segment)


def _segment(call: Call, segment: str) -> dict[str, object]:
    return call.account.margins_row(market=call.site.market, segment=segment)


ROUTES = (
    Route("POST", "/session/token", "session.create", generate_session, signed=False),
    Route("DELETE", "/session/token", "session.delete", delete_session, signed=False),
    Route("POST", "/session/refresh_token", "session.renew", renew_session, signed=False),
    Route("GET", "/user/profile", "user.profile", profile),
    Route("GET", "/user/profile/full", "user.profile.full", full_profile),
    Route("GET", "/user/margins", "user.margins", margins),
    Route("GET", "/user/margins/{segment}", "user.margins.segment", segment_margins),
)
