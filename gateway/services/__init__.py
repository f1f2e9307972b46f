"""The gRPC services: they translate between protobuf and the domain, and decide nothing."""
