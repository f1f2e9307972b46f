"""`python -m api_gpu`: the same as `api-gpu`."""

import sys

if not sys.flags.safe_path:
    # The current folder, which `python -m` puts first: files there must not take the place of modules.
    sys.path.pop(0)

from api_gpu.cli.main import main

main()
