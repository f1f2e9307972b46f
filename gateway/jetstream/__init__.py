"""NATS JetStream: the connection, the embedded server, key-value buckets, the work queue. Nothing else imports nats."""
