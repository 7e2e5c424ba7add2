"""What people and other systems call an instrument, as EXCHANGE:SYMBOL keys of the dump. Pure."""

import re
from collections.abc import Mapping
from typing import Final

Key = tuple[str, str]

# Underlying of a derivative, as the dump spells it, to the index that prices it.
INDICES: Final[Mapping[str, Key]] = {
    "NIFTY": ("NSE", "NIFTY 50"),
    "BANKNIFTY": ("NSE", "NIFTY BANK"),
    "FINNIFTY": ("NSE", "NIFTY FIN SERVICE"),
    "MIDCPNIFTY": ("NSE", "NIFTY MID SELECT"),
    "NIFTYNXT50": ("NSE", "NIFTY NEXT 50"),
    "SENSEX": ("BSE", "SENSEX"),
    "BANKEX": ("BSE", "BANKEX"),
}
# Compared without spaces, underscores and a leading ^.
OTHER_NAMES: Final[Mapping[str, Key]] = {
    **INDICES,
    "NIFTY50": INDICES["NIFTY"],
    "NSEI": INDICES["NIFTY"],
    "CNXNIFTY": INDICES["NIFTY"],
    "NIFTYBANK": INDICES["BANKNIFTY"],
    "NSEBANK": INDICES["BANKNIFTY"],
    "CNXBANK": INDICES["BANKNIFTY"],
    "NIFTYFIN": INDICES["FINNIFTY"],
    "NIFTYFINSERVICE": INDICES["FINNIFTY"],
    "CNXFIN": INDICES["FINNIFTY"],
    "MIDCAPSELECT": INDICES["MIDCPNIFTY"],
    "NIFTYMIDSELECT": INDICES["MIDCPNIFTY"],
    "NIFTYMIDCAPSELECT": INDICES["MIDCPNIFTY"],
    "NIFTYNEXT50": INDICES["NIFTYNXT50"],
    "NIFTYJR": INDICES["NIFTYNXT50"],
    "BSESN": INDICES["SENSEX"],
    "SENSEX30": INDICES["SENSEX"],
    "BSEBANK": INDICES["BANKEX"],
    "VIX": ("NSE", "INDIA VIX"),
    "INDIAVIX": ("NSE", "INDIA VIX"),
}
SUFFIXES: Final[Mapping[str, str]] = {".NS": "NSE", ".BO": "BSE"}
SERIES: Final = re.compile(r"-(EQ|BE)$")
# Where a name without an exchange is looked for, in this order.
HOMES: Final = ("NSE", "BSE", "NFO", "BFO", "MCX", "CDS", "BCD", "NCO")


def candidates(text: str) -> list[Key]:
    """Return the keys that a text may mean, the likeliest first; EXCHANGE:SYMBOL as it stands always comes first."""
    exchange, colon, symbol = text.strip().partition(":")
    if not colon:
        exchange, symbol = "", exchange
    plain = symbol.strip().upper()
    found: list[Key] = [(exchange, symbol)] if exchange else []
    for suffix, home in SUFFIXES.items():
        if plain.endswith(suffix):
            plain, exchange = plain.removesuffix(suffix), exchange or home
    other = OTHER_NAMES.get(re.sub(r"[\s_]", "", plain.removeprefix("^")))
    homes = (exchange.upper(),) if exchange else HOMES
    exact = [(home, name) for name in dict.fromkeys((plain, SERIES.sub("", plain))) for home in homes]
    found += exact if exchange or other is None else [other, *exact]
    if other is not None and exchange.upper() in {"", other[0]}:
        found.append(other)
    return list(dict.fromkeys(found))
