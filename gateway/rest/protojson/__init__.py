"""Protobuf's JSON mapping: decoding, encoding, scalar values."""
