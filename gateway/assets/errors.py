"""What the object store and the disk raise, in terms of the service."""

import contextlib
import errno
import re
from collections.abc import Iterator

import structlog
from obstore.exceptions import BaseError

from servicekit.errors import NotFound, ResourceExhausted, ServiceError, Unavailable

log = structlog.get_logger("gateway.assets")

# obstore raises ValueError for paths and ranges, and built-in OSErrors beside its own classes.
VENDOR_ERRORS = (BaseError, OSError, ValueError)
FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def object_store_errors(what: str, *, may_be_missing: bool) -> Iterator[None]:
    """Raise ServiceErrors for what the store raises within; `what` names the file in their texts.

    Raises NotFound (only where the object `may_be_missing`), ResourceExhausted with reason STORAGE_FULL, Unavailable
    with reason STORAGE_UNAVAILABLE.
    """
    try:
        yield
    except VENDOR_ERRORS as error:
        raise _fault(what, error, may_be_missing) from error


def _fault(what: str, error: Exception, may_be_missing: bool) -> ServiceError:
    if may_be_missing and isinstance(error, FileNotFoundError):
        return NotFound(f"{what} does not exist, or does no longer; upload the file again.", reason="ASSET_NOT_FOUND")
    # The texts name paths and hosts of the service: they are for its log alone.
    log.error("asset store failed", what=what, error=type(error).__name__, text=str(error).partition("\n")[0])
    if _number(error) in FULL:
        text = "The store for files is full; delete assets that are not needed any more, or try again later."
        return ResourceExhausted(text, reason="STORAGE_FULL")
    text = "The store for files cannot be used at present; try again later. The log of the gateway says why."
    return Unavailable(text, reason="STORAGE_UNAVAILABLE")


def _number(error: Exception) -> int:
    """The errno; obstore gives it in the text only."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else 0
