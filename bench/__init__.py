"""Measures the pair against what people use today, in one run on one machine. `make bench` prints the table."""
