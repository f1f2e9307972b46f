"""Tools of this repository, which are not shipped: the demo and a pair for tests."""
