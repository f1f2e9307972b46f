"""Checks what a caller says of a job beside its operation: who is told of it, and what is noted on it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from apigpu.v1 import jobs_pb2
from gateway.jobs.fairness import NORMAL, PRIORITIES
from gateway.jobs.hooks import DEFAULT_EVENTS, EVENTS, Webhook
from gateway.sources import urls
from gateway.sources.guard import AddressGuard
from servicekit.echo import brief
from servicekit.errors import InvalidArgument, ServiceError, Unavailable

URL, EVENT_NAMES, METADATA = "webhook_url", "webhook_events", "metadata"
# A week.
MAX_DEADLINE_SECONDS = 604_800.0
MAX_ENTRIES = 50
MAX_NAME_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 512
MAX_BYTES = 8 * 1024


@dataclass(frozen=True)
class CheckedOptions:
    """The webhook of a job, if any, its metadata, its priority, the seconds that it has, 0 for any, and whether its
    film is to play while it is made."""

    webhook: Webhook | None
    metadata: tuple[tuple[str, str], ...]
    priority: str
    deadline_seconds: float = 0.0
    preview: bool = False


async def check(
    options: jobs_pb2.JobOptions, base_url: str, guard: AddressGuard, default: Webhook | None = None
) -> CheckedOptions:
    """Return the options as a job has them; `base_url` is that of links for the caller, `default` is told where no
    other webhook is named. Raises InvalidArgument, which names the field."""
    metadata = _metadata(dict(options.metadata))
    events = checked_events(list(options.webhook_events))
    priority = options.priority or NORMAL
    if priority not in PRIORITIES:
        text = f"{brief(priority)!r} is none; give one of {', '.join(PRIORITIES)}."
        raise InvalidArgument.field("priority", text)
    # Written so that NaN is refused.
    if not 0 <= options.deadline_seconds <= MAX_DEADLINE_SECONDS:
        text = f"{options.deadline_seconds:g} is out of range; give 0 to {MAX_DEADLINE_SECONDS:g}."
        raise InvalidArgument.field("deadline_seconds", text)
    known = CheckedOptions(None, metadata, priority, options.deadline_seconds, options.preview)
    url = options.webhook_url.strip()
    if not url and default is not None:
        return replace(known, webhook=replace(default, events=events or default.events))
    if not url:
        if events:
            raise InvalidArgument.field(URL, f"is missing; give it with {EVENT_NAMES}, or leave both out.")
        return known
    await check_url(URL, url, guard)
    return replace(known, webhook=Webhook(url, events or DEFAULT_EVENTS, base_url))


def _metadata(given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if len(given) > MAX_ENTRIES:
        raise InvalidArgument.field(METADATA, f"has {len(given)} entries and {MAX_ENTRIES} are the most.")
    for name, value in given.items():
        place = f"{METADATA}.{brief(name)}"
        if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            text = f"give each entry a name of 1 to {MAX_NAME_CHARACTERS} printable characters."
            raise InvalidArgument.field(place, text)
        if len(value) > MAX_VALUE_CHARACTERS:
            text = f"has {len(value)} characters and {MAX_VALUE_CHARACTERS} are the most."
            raise InvalidArgument.field(place, text)
    if sum(len(text.encode()) for entry in given.items() for text in entry) > MAX_BYTES:
        raise InvalidArgument.field(METADATA, f"has more than {MAX_BYTES} bytes in all.")
    return tuple(sorted(given.items()))


def checked_events(given: Iterable[str]) -> tuple[str, ...]:
    """Return the events of these names, with commas or one by one, in the order in which they happen. Raises
    InvalidArgument."""
    names = [part.strip() for text in given for part in text.split(",") if part.strip()]
    for name in names:
        if name not in EVENTS:
            text = f"{brief(name)!r} is none; give some of {', '.join(EVENTS)}."
            raise InvalidArgument.field(EVENT_NAMES, text)
    return tuple(event for event in EVENTS if event in names)


async def check_url(field: str, text: str, guard: AddressGuard) -> None:
    """Refuse what can never be called. A host that cannot be looked up at present may be later. Raises InvalidArgument,
    which names the field."""
    try:
        url = urls.parse(text)
    except InvalidArgument as error:
        why = "is no http:// or https:// URL." if error.reason == "BAD_URL_SCHEME" else error.message
        raise InvalidArgument.field(field, why, reason=error.reason) from error
    try:
        await guard.check(url)
    except (Unavailable, TimeoutError):
        return  # it is checked again with each call
    except ServiceError as error:
        raise InvalidArgument.field(field, _why(error), reason=error.reason) from error


def _why(error: ServiceError) -> str:
    if error.reason == "ADDRESS_NOT_PUBLIC":
        return "leads to an address that is not a public one; have the operator allow it by FETCH_ALLOW_CIDRS."
    return "leads to this service itself." if error.reason == "OWN_ADDRESS" else error.message
