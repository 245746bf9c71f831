"""Addresses of schedulers: which are well formed, and which are on this machine."""

import pytest

from pipeline.cluster.addresses import is_loopback, problem_of


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://10.0.0.1:8786", False),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("127.0.0.2", True),
        ("127.1", True),
        ("127.255.255.254:1", True),
        ("LocalHost.", True),
        ("tls://dask.localhost:8786", True),
        ("::", False),
        ("::1:8786", False),
        ("fe80::1", False),
        ("[2001:db8::1]:8786", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("128.0.0.1", False),
        ("localhost.example.org", False),
        ("notlocalhost", False),
        ("höst", False),
        ("", False),
    ],
)
def test_loopback(address: str, here: bool) -> None:
    assert is_loopback(address) is here


@pytest.mark.parametrize(
    ("address", "encrypted", "fault"),
    [
        *((odd, False, "expected an address such as") for odd in ("nonsense", "http://h:1", "tcp://h:abc", "tcp://")),
        *((odd, False, "expected an address such as") for odd in ("tcp://h:0", "tcp://h:65536", "tcp://h", "a b:1")),
        ("tcp://user:hush@h:1", False, "without user and password"),
        ("tls://h:1", False, "needs scheduler.tls"),
        ("wss://h:1", False, "needs scheduler.tls"),
        ("tcp://h:1", True, "expected tls://h:1"),
        ("h:1", True, "expected tls://h:1"),
        *((right, False, "") for right in ("tcp://h:1", "h.example.org:8786", "tcp://[::1]:8786", "127.0.0.1:8786/")),
        ("tcp://h:65535", False, ""),
        ("tls://h:1", True, ""),
    ],
)
def test_faults_of_an_address_are_found_without_connecting(address: str, encrypted: bool, fault: str) -> None:
    found = problem_of(address, encrypted)
    assert (found is None) if not fault else (found is not None and fault in found)
    assert "hush" not in (found or "")
