"""Attacks the pair on this machine, and measures what that costs it and what others get meanwhile.

    make attack                              # all
    python -m attack json_bodies file_names  # some, by name

One file is one kind of attack, and one line of ATTACKS in `__main__.py`. It has a function

    async def rows(target: Target, folder: Path) -> AsyncIterator[Row]

that yields a row for each attack, made by `target.under`:

    yield await target.under("repeated keys, wrong key", flood, max_cpu_seconds=1.0)

`flood` is a coroutine function without arguments. While it runs, `under` samples `/health` and the jobs of an honest
client from another process, and the processor seconds and the memory of gateway and encoder; after SECONDS it is
cancelled. What `flood` returns (a text: "50 times 220 KB: 401") stands in the row. `target.pair` has addresses, key and
certificates, `folder` is empty and goes with the attack; `wire.py` sends what no well-behaved client sends.

An attack that needs settings has them in `ENVIRONMENT: dict[str, str]` of its file; its pair is started with them.
Every file has a fresh pair. Bounds: loopback alone, SECONDS for each attack, and no more connections, bytes or
processes than make the point. Figures compare with the row "at rest" above them, as this machine may be busy.

The aims: `/health` under 0.5 s and an honest job under 3 s at the 99th percentile, none of them failed, and what the
attack says of processor and memory. A missed aim makes the exit status 1.
"""
