"""The Python client (`api_gpu.client.Client`) and the command line `api-gpu`."""
