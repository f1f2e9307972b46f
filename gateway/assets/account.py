"""What is stored of each tenant, as the asset store tells it and is told whether there may be more."""


class StorageAccount:
    """Bears any number of bytes, and counts none."""

    def check(self, tenant: str, more_bytes: int) -> None:
        """Raise ResourceExhausted where a tenant may not have so many bytes more."""

    def add(self, tenant: str, change_bytes: int) -> None:
        """Count bytes that are stored from now on, or below 0 no more."""

    async def remove(self, file_id: str, tenant: str, size_bytes: int) -> None:
        """Count the bytes of a file no more: once, however many delete it at the same time, wherever they do."""
