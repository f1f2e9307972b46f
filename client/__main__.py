"""`python -m client`: the same as `api-gpu`."""

from client.cli import main

main()
