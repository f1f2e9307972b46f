"""What a card of NVIDIA's does with this project, found out on the card itself: `python -m tools.gpu_check`.

Each check is a process of its own under a limit of time (`runner.py`), so that a driver that hangs or ends its process
takes no other check with it; `checks.py` names them all. What they find is printed as a report (`report.py`) that its
reader can send back.
"""
