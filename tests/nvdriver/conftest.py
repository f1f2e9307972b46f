from tests.nvdriver.fixtures import nvdriver, nvdriver_libraries

__all__ = ["nvdriver", "nvdriver_libraries"]
