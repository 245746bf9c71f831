"""Retry a request to an object store after a transient error.

A request that meets transient errors, such as a busy store or a broken connection, is tried up to TRIES times, with
growing pauses. The last error is raised as OSError, like errors of a disk."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from pipeline.store.backends.locations import mask

TRIES = 5
FIRST_PAUSE = 0.2
"""Seconds of pause after the first try; each further pause is twice as long, with a jitter of ±50 %."""
FINAL = (FileNotFoundError, PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError)
BUSY = frozenset({errno.EIO, errno.EBUSY, errno.EAGAIN, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT})
TRANSIENT = frozenset(
    {
        *("botocore.HTTPClientError", "botocore.ConnectionError", "aiohttp.ClientError", "requests.RequestException"),
        *("urllib3.HTTPError", "gcsfs.HttpError", "azure.ServiceRequestError", "azure.ServiceResponseError"),
        *("asyncio.IncompleteReadError", "paramiko.SSHException"),
    }
)
"""Transient errors of fsspec's libraries that are not OSErrors, by package and name."""
T = TypeVar("T")


def without_retries(system: Any) -> Any:
    """Switch off a file system's own retries.

    Such retries would multiply the tries of `retried`."""
    if hasattr(system, "config_kwargs") and hasattr(system, "retries"):  # s3fs, and botocore below it
        system.retries = 1
        system.config_kwargs.setdefault("retries", {"total_max_attempts": 1})
    return system


def retried(work: Callable[[], T], where: object) -> T:
    """Return the result of `work`, with retries. Raises OSError that names `where`."""
    pause = FIRST_PAUSE
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except FINAL as error:
            raise type(error)(error.errno or errno.EIO, _sentence(error), mask(str(where))) from error
        except MemoryError:
            raise
        except Exception as error:
            if attempt == TRIES or not _is_transient(error):
                message = f"{_sentence(error)} after {attempt} tries" if attempt > 1 else _sentence(error)
                raise OSError(getattr(error, "errno", None) or errno.EIO, message, mask(str(where))) from error
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause *= 2
    raise AssertionError("the last try returns or raises")


def _is_transient(error: Exception) -> bool:
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        status = getattr(error.__cause__, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        return error.errno in BUSY and (status >= 500 or status in (408, 409, 429))
    return not TRANSIENT.isdisjoint(f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(error).__mro__)


def _sentence(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return mask(" ".join(str(text).split())[:300]) or type(error).__name__
