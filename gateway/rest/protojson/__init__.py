"""Protobuf JSON: decoding, encoding, scalars."""
