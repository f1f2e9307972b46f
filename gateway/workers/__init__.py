"""Encoders as the dispatcher sees them: the interface, the pool of slots, gRPC, discovery."""
