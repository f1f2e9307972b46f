"""All that is wrong with a request, told in one answer."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from servicekit.echo import brief
from servicekit.errors import FailedPrecondition, InvalidArgument, ServiceError, from_code

# Of all faults so many bytes of fields and letters of text are told: clients refuse headers over 8 KiB, and a status
# is one.
MAX_FIELD_BYTES = 2_400
MAX_TEXT_LETTERS = 900


@dataclass
class Faults:
    """The faults of a request: the first ones, as far as one answer holds them. It `is_full` once one more was left
    out."""

    errors: list[ServiceError] = field(default_factory=list)
    is_full: bool = False
    bytes_left: int = MAX_FIELD_BYTES

    def add(self, error: ServiceError) -> None:
        """Keep a fault, where there is room for it."""
        told = error.fields or {"": error.message}
        size = sum(len(f"{name}{text}".encode(errors="replace")) for name, text in told.items())
        self.is_full = self.is_full or (bool(self.errors) and size > self.bytes_left)
        if not self.is_full:
            self.bytes_left -= size
            self.errors.append(error)

    @contextlib.contextmanager
    def gathering(self, but: Collection[str] = ()) -> Iterator[None]:
        """Keep the fault of the caller that the block raises, unless its reason is one of `but`."""
        try:
            yield
        except (InvalidArgument, FailedPrecondition) as error:
            if error.reason in but:
                raise
            self.add(error)

    def check(self) -> None:
        """Raise the error of all of them. Does nothing where there are none."""
        if (error := self.error()) is not None:
            raise error

    def error(self) -> ServiceError | None:
        """Return the only fault, or one error of the class of the first for all of them; None without one."""
        if not self.errors or (len(self.errors) == 1 and not self.is_full):
            return self.errors[0] if self.errors else None
        fields: dict[str, str] = {}
        for name, text in (pair for error in self.errors for pair in error.fields.items()):
            fields.setdefault(name, text)
        first = self.errors[0]
        return from_code(first.number, self._text(), reason=first.reason, fields=fields)

    def _text(self) -> str:
        """Return what is wrong, each thing once: several elements of a list may lack the same."""
        texts = list(dict.fromkeys(error.message for error in self.errors))
        text = texts[0] if len(texts) == 1 else "; ".join(one.rstrip(".") for one in texts) + "."
        return brief(text, MAX_TEXT_LETTERS) + (" And more." if self.is_full else "")
