"""Results where they are wanted: put to URLs or into buckets of callers, until they are there or a day is over."""
