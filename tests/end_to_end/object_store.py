"""Serve an object store with the S3 protocol on loopback: moto's server, with injected faults."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

SECRET = "hunter2-not-to-be-seen"
BUSY = b"<?xml version='1.0'?><Error><Code>ServiceUnavailable</Code><Message>Please try again</Message></Error>"


@dataclass
class ObjectStore:
    """A server with a record of requests, and with faults.

    fault  returns for a method and a path None, "busy", "drop" (the request is not served) or "deaf" (the request is
           served, but the answer is lost)
    asked  requests: the method, the path and the fault"""

    fault: Callable[[str, str], str | None] = lambda method, path: None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    url: str = ""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        fault = self.fault(method, path)
        ranged = " range" if "HTTP_RANGE" in environ else ""
        listing = "LIST" if "list-type" in environ["QUERY_STRING"] else method
        self.asked.append((f"{listing}{ranged}", path, fault or ""))
        if fault == "busy":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("503 Service Unavailable", [("Content-Type", "application/xml"), ("Content-Length", str(len(BUSY)))])
            return [BUSY]
        if fault == "deaf":
            list(self._moto(environ, lambda *_, **__: None))
        if fault:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        return self._moto(environ, start)

    def __post_init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)

    def counts(self) -> Counter[str]:
        """Return the number of requests by method."""
        return Counter(method for method, _, _ in self.asked)

    @property
    def options(self) -> dict[str, Any]:
        """Return the config's section `storage`."""
        return {"s3": {"endpoint_url": self.url, "key": "tests", "secret": SECRET}}

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="tests",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Name relative to the prefix -> content."""
        client, found = self.client, {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                body = client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
                found[each["Key"].removeprefix(prefix)] = body
        return found


class _Silent(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing; `ObjectStore.asked` has the requests."""


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Run the server while the context is open."""
    store = ObjectStore()
    server = make_server("127.0.0.1", 0, store, threaded=True, request_handler=_Silent)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
