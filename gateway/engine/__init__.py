"""Durable state on NATS JetStream. Only this package knows NATS; the rest sees KeyValue, WorkQueue and Topics."""
