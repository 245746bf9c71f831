"""Answer the page's requests: a Starlette application behind `Guard`.

GET   ""              the page                 GET   state?since=N    decisions of other windows, the job
GET   dates.js        dates of the files       POST  decide           save decisions, undo, redo
GET   NAME.svg, …     charts of the report     POST  move             remember the reviewer's place
GET   preview/N       an image, small          POST  plan             check a plan, begin the dry run
GET   original/N      an image, in full size   POST  apply            act on the plan of a dry run
GET   facts/N         facts of an image        POST  undo, stop       undo a journal, stop the job"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from pipeline.messages.errors import FastDiffError
from stages.commands.review.facts import facts_of
from stages.commands.review.images import Picture, ServedImages
from stages.commands.review.jobs import Stale
from stages.commands.review.security import NO_STORE, Guard, PageAddress
from stages.commands.review.session import Session
from stages.report import reads

MOST_BYTES = 64 << 20
"""Bytes of a request, at most."""
PICTURES = 8
"""Threads that serve images: decisions have other threads, and never wait for images."""
KEPT = {"cache-control": "private, max-age=3600"}
TYPES = {".svg": "image/svg+xml", ".jpg": "image/jpeg", ".html": "text/html; charset=utf-8"}
CHART_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
WORK_POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Policies of the report's other files, which hold no script."""
Body: TypeAlias = dict[str, Any]
GONE = "the file is gone or has changed since the run"


class TooLarge(FastDiffError):
    """A request has too many bytes."""


def application(open_session: Callable[[], Session], address: PageAddress) -> Guard:
    """Return the application. `open_session` returns the session of the run as it is now."""
    at_once = CapacityLimiter(PICTURES)

    async def whole_page(request: Request) -> Response:
        session = await run_in_threadpool(open_session)
        return HTMLResponse(session.shown.html, headers=NO_STORE | {"content-security-policy": session.shown.policy})

    async def dates(request: Request) -> Response:
        session = await run_in_threadpool(open_session)
        text = await run_in_threadpool(session.shown.dates)
        return Response(text, media_type="text/javascript", headers=NO_STORE)

    async def file(request: Request) -> Response:
        session = await run_in_threadpool(open_session)
        path = session.shown.files.get(request.path_params["name"])
        data = await run_in_threadpool(_content, path) if path else None
        if path is None or data is None:
            return _missing("not a file of this report")
        policy = WORK_POLICY if path.suffix == ".html" else CHART_POLICY
        headers = {"content-type": TYPES[path.suffix], "content-security-policy": policy, **NO_STORE}
        return Response(data, headers=headers)

    def picture(which: Callable[[ServedImages, int], Picture | None]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            session = await run_in_threadpool(open_session)
            session.check(request.query_params.get("of"))
            try:
                number = request.path_params["number"]
                found = await to_thread.run_sync(which, session.images, number, limiter=at_once)
            except IndexError:
                return _missing("not an image of this run")
            return Response(found.data, media_type=found.type, headers=KEPT) if found else _missing(GONE)

        return answer

    async def facts(request: Request) -> Response:
        session = await run_in_threadpool(open_session)
        session.check(request.query_params.get("of"))
        try:
            number = request.path_params["number"]
            return JSONResponse(await run_in_threadpool(facts_of, session.shown, session.images, number))
        except IndexError:
            return _missing("not an image of this run")

    async def state(request: Request) -> Response:
        session = await run_in_threadpool(open_session)
        session.check(request.query_params.get("of"))
        since = request.query_params.get("since", "")
        known = int(since) if since.isdecimal() else None
        return JSONResponse(await run_in_threadpool(session.state, known), headers=NO_STORE)

    def post(act: Callable[[Session, Body], Any]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            body = await _body(request)
            session = await run_in_threadpool(open_session)
            session.check(body.get("mark"))
            return JSONResponse(await run_in_threadpool(act, session, body) or {}, headers=NO_STORE)

        return answer

    routes = [
        Route("/", whole_page),
        Route(f"/{reads.DATES}", dates),
        Route("/preview/{number:int}", picture(ServedImages.preview)),
        Route("/original/{number:int}", picture(ServedImages.original)),
        Route("/facts/{number:int}", facts),
        Route("/state", state),
        Route("/decide", post(_decide), methods=["POST"]),
        Route("/move", post(lambda session, body: session.move(body.get("image"))), methods=["POST"]),
        Route("/plan", post(lambda session, body: session.prepare(body)), methods=["POST"]),
        Route("/apply", post(lambda session, body: session.apply(body.get("digest"))), methods=["POST"]),
        Route("/undo", post(lambda session, body: session.acts.undo(*_named(body))), methods=["POST"]),
        Route("/stop", post(lambda session, body: session.acts.stop()), methods=["POST"]),
        Route("/{name:path}", file),
    ]
    errors = {
        Stale: _error(409),
        TooLarge: _error(413),
        FastDiffError: _error(400),
        ValueError: _error(400),
        OSError: _os_error,
    }
    return Guard(Starlette(routes=[Mount(address.prefix[:-1], routes=routes)], exception_handlers=errors), address)


def _decide(session: Session, body: Body) -> Body:
    since = body.get("revision")
    return session.decide(body.get("actions"), since, since if type(since) is int else -1)


def _named(body: Body) -> tuple[str, str]:
    return str(body.get("journal")), str(body.get("digest"))


async def _body(request: Request) -> Body:
    """Return the JSON object of a request. Raises FastDiffError."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise TooLarge(f"expected at most {MOST_BYTES:,} bytes")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FastDiffError("expected JSON") from error
    if not isinstance(body, dict):
        raise FastDiffError("expected a JSON object")
    return body


def _missing(text: str) -> Response:
    return PlainTextResponse(f"{text}\n", 404, NO_STORE)


def _error(status: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        lines = error.lines if isinstance(error, FastDiffError) else (str(error),)
        return JSONResponse({"error": " ".join(lines)}, status, NO_STORE)

    return answer


def _os_error(request: Request, error: Exception) -> Response:
    cause = error.strerror if isinstance(error, OSError) else None
    return JSONResponse({"error": f"nothing was saved: {cause or error}"}, 507, NO_STORE)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
