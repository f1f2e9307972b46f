"""`python -m api_gpu`: the same as `api-gpu`."""

from api_gpu.cli.main import main

main()
