"""The gRPC server of the encoder."""
