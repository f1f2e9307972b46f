"""The compatible door: paths and fields of the system that came before, as those of this API."""
