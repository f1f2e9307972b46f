"""The Python client (`client.api.Client`) and the command line `api-gpu`."""
