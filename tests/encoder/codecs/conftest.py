"""The stand-in for NVIDIA's driver."""

from tests.nvdriver.fixtures import nvdriver_libraries

__all__ = ["nvdriver_libraries"]
