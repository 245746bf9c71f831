"""Check addresses of Dask schedulers: their form, and whether they are local."""

from __future__ import annotations

import ipaddress
import re
import socket

LOOPBACK = "127.0.0.1"
ADDRESS = re.compile(r"(?:(\w+)://)?(\[[0-9a-fA-F:]+\]|[^\s/:@\[\]]+):(\d{1,5})/?")
"""Protocol, host and port."""
PROTOCOLS = ("tcp", "tls", "ucx", "ws", "wss")
ENCRYPTED = ("tls", "wss")


def is_loopback(address: str) -> bool:
    """Return whether a host, or an address's host, is a loopback address."""
    host = address.partition("://")[2] or address
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # a bare IPv6 address has more colons
        host = host.partition(":")[0]
    host = host.lower().removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.ip_address(socket.inet_aton(host)).is_loopback  # short forms such as 127.1
        except (OSError, UnicodeEncodeError):
            return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def problem_of(address: str, encrypted: bool) -> str | None:
    """Return the problem of a scheduler's address, or None, without connecting.

    `encrypted`: whether the config has certificates."""
    if "@" in address:
        return "expected an address without user and password: Dask has no log-in. To encrypt, set scheduler.tls"
    found = ADDRESS.fullmatch(address)
    if not found or not 0 < int(found[3]) < 1 << 16 or (found[1] or "tcp") not in PROTOCOLS:
        return f"expected an address such as tcp://10.0.0.1:8786, got {address!r}"
    if found[1] in ENCRYPTED and not encrypted:
        return f"{address} is encrypted and needs scheduler.tls: {{ca_file: …, cert: …, key: …}}"
    if found[1] not in ENCRYPTED and encrypted:
        return f"with scheduler.tls expected tls://{found[2]}:{found[3]}, got {address}"
    return None
