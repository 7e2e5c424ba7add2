"""A webhook cannot be pointed inside."""

import ipaddress

import pytest

from webhooks.addresses import networks, resolve
from webhooks.errors import AddressRefused

LOCAL = networks(["127.0.0.0/8"])
INSIDE = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://localhost/",
    "https://10.0.0.1/",
    "https://172.16.5.4/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[::7f00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[ff02::1]/",
]
MISSHAPEN = [
    "http://93.184.215.14/",
    "ftp://93.184.215.14/",
    "file:///etc/passwd",
    "//93.184.215.14/",
    "https:///x",
    "https://user@93.184.215.14/",
    "https://user:secret@93.184.215.14/",
    "https://93.184.215.14:99999/",
    "https://93.184.215.14:0/",
    "https://93.184.215.14/a\r\nX: y",
    "https://93.184.215.14/ b",
    "https://no-such-host.invalid/",
    "https://93.184.215.14/" + "x" * 2000,
]


@pytest.mark.parametrize("url", INSIDE)
def test_an_address_that_is_not_public_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        resolve(url=url, allowed=())


@pytest.mark.parametrize("url", MISSHAPEN)
def test_a_url_that_is_no_public_https_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        resolve(url=url, allowed=())


def test_a_public_address_is_pinned() -> None:
    target = resolve(url="https://93.184.215.14:8443/hook?a=1", allowed=())

    assert (target.address, target.port, target.path) == ("93.184.215.14", 8443, "/hook?a=1")


def test_an_allowed_network_may_be_reached_without_tls() -> None:
    assert resolve(url="http://127.0.0.1:9000/", allowed=LOCAL).address == "127.0.0.1"


def test_one_allowed_network_opens_no_other() -> None:
    with pytest.raises(AddressRefused):
        resolve(url="http://10.0.0.1/", allowed=LOCAL)


def test_every_private_network_of_the_register_is_refused() -> None:
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "198.18.0.0/15"):
        network = ipaddress.ip_network(text)
        for address in (network[0], network[1], network[-1]):
            with pytest.raises(AddressRefused):
                resolve(url=f"https://{address}/", allowed=())
