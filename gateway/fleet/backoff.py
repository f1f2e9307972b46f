"""What is left alone for a while because it failed, longer each time. Pure: times are seconds of any one clock."""

from dataclasses import dataclass, field


@dataclass
class Blacklist:
    """Names of what failed. The first failure keeps one away for `first_seconds`, each further one for twice as long as
    the one before, up to `most_seconds`; who was left alone and fails no more for `most_seconds` begins anew."""

    first_seconds: float
    most_seconds: float
    _until: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, name: str, now: float) -> float:
        """It failed; for how many seconds it is left alone."""
        until, seconds = self._until.get(name, (0.0, 0.0))
        is_known = name in self._until and now - until < self.most_seconds
        seconds = min(2 * seconds, self.most_seconds) if is_known else self.first_seconds
        self._until[name] = (now + seconds, seconds)
        return seconds

    def held(self, now: float) -> list[str]:
        """Names of those that are left alone now."""
        return [name for name in self._until if self.holds(name, now)]

    def holds(self, name: str, now: float) -> bool:
        """Whether it is to be left alone now."""
        return name in self._until and now < self._until[name][0]

    def forget(self, now: float) -> None:
        """Drop those that begin anew anyway."""
        self._until = {name: kept for name, kept in self._until.items() if now - kept[0] < self.most_seconds}
