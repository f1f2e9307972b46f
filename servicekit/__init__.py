"""What every service process is made of: settings, logs, errors, gRPC server and interceptors, TLS, children, tasks.

It imports neither the gateway, nor the encoder, nor the client.
"""
