"""The command line `api-gpu`."""
