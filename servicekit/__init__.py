"""How both services speak and serve gRPC; knows nothing of gateway, encoder or client."""
