"""Refuse every request that does not come from the review's own page.

    Host            must name this server on loopback: an attacker's DNS may give another name this address
    path            begins with a random prefix, to which the cookie is limited: a browser sends a cookie to every port
                    of a host, and a server on another port must not receive the secret
    secret          is in the address that the command prints, and afterwards in a cookie: HttpOnly, SameSite=Strict
    Sec-Fetch-Site  must be same-origin: pages on other ports of this machine are of the same site, so browsers send
                    the cookie with the requests of such pages
    Origin          must be this server's in a POST request; no header allows another origin to read an answer

The secret lives as long as the server."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "fast-diff"
ASK = "open the address that `fast-diff review` printed"
NO_STORE = {"cache-control": "no-store"}
FIXED = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
"""Headers of every answer."""
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content security policy of every answer but the page."""


@dataclass(frozen=True)
class PageAddress:
    """The address of one server."""

    port: int
    prefix: str = field(default_factory=lambda: f"/{secrets.token_hex(8)}/")
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names under which a browser on this machine reaches the server."""
        return f"127.0.0.1:{self.port}", f"localhost:{self.port}"

    @property
    def url(self) -> str:
        """The address with the secret."""
        return f"http://{self.hosts[0]}{self.prefix}?secret={self.secret}"


class Guard:
    """ASGI middleware that refuses requests; see this module's docstring."""

    def __init__(self, app: ASGIApp, address: PageAddress) -> None:
        self._app, self._address = app, address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no other protocol is spoken here
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        if self._shows_secret(scope, headers):
            await self._welcome(scope, receive, send)
        elif refused := self._refused(scope, headers):
            await self._answer(*refused, scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _host(self, headers: list[tuple[str, str]]) -> str | None:
        """Return the Host of a request, if it is one of this server's."""
        found = [value for name, value in headers if name == "host"]
        return found[0] if len(found) == 1 and found[0] in self._address.hosts else None

    def _shows_secret(self, scope: Scope, headers: list[tuple[str, str]]) -> bool:
        """Return whether a request shows the secret in the address."""
        if scope["method"] != "GET" or scope["path"] != self._address.prefix or not self._host(headers):
            return False
        given = parse_qs(scope["query_string"].decode("latin-1")).get("secret", [""])
        return _equal(given[0], self._address.secret)

    def _refused(self, scope: Scope, headers: list[tuple[str, str]]) -> tuple[int, str] | None:
        """Return status and reason of a refusal, or None."""
        host = self._host(headers)
        values = dict(headers)
        if host is None:
            return 421, f"this server answers under {' and '.join(self._address.hosts)} only"
        if scope["path"] == "/favicon.ico":
            return 204, ""  # browsers ask by themselves
        if not scope["path"].startswith(self._address.prefix):
            return 404, ASK
        if not _equal(_cookie(values.get("cookie", "")), self._address.secret):
            return 403, ASK
        if values.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "this request comes from another page"
        if scope["method"] == "POST":
            if values.get("origin") != f"http://{host}":
                return 403, "this request comes from another page"
            if values.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return 415, "expected JSON"
        elif scope["method"] not in ("GET", "HEAD"):
            return 405, "expected GET or POST"
        return None

    async def _welcome(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the cookie, and answer with a page that reloads: a request from another site sends no Strict cookie."""
        from starlette.responses import HTMLResponse

        prefix = self._address.prefix
        answer = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={prefix}"><title>fast-diff</title>',
            headers=NO_STORE,
        )
        answer.set_cookie(COOKIE, self._address.secret, path=prefix, httponly=True, samesite="strict")
        await answer(scope, receive, _with_headers(send))

    async def _answer(self, status: int, text: str, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse

        body = f"fast-diff: {text}\n" if text else None
        await PlainTextResponse(body, status, NO_STORE)(scope, receive, _with_headers(send))


def _equal(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _with_headers(send: Send) -> Send:
    """Return a `send` that adds the headers of every answer, unless an answer has its own."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            fixed = {**FIXED, "content-security-policy": POLICY}
            more = [(name.encode(), value.encode()) for name, value in fixed.items() if name.encode() not in present]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return wrapped
