"""Bits of parameter sets, as H.264 and H.265 write them. Pure; what cannot be read raises BadBitstream."""

# Parameter sets are tens of bytes; scaling lists make them a few hundred, those of H.265 a thousand or two.
MAX_SET_BYTES = 2048


class BadBitstream(ValueError):
    """It is not what the standard allows, or is cut off."""


class SetBits:
    """Reads the bits of a NAL unit of H.264 or H.265 that holds parameters."""

    def __init__(self, unit: bytes) -> None:
        if len(unit) > MAX_SET_BYTES:
            raise BadBitstream("a parameter set is too long")
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return an unsigned number of `count` bits."""
        if count > self._left:
            raise BadBitstream("a parameter set is cut off")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def unsigned(self) -> int:
        """Return an Exp-Golomb number, 9.1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise BadBitstream("a number is too large")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """Return a signed Exp-Golomb number, 9.1.1."""
        number = self.unsigned()
        return (number + 1) // 2 if number % 2 else -number // 2
