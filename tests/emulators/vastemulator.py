"""Vast.ai's API on a real socket of loopback: offers, instances, money, and its ways to fail.

    with VastEmulator([offer()], launch=EncoderHost(folder)) as vast:
        ... vast.url, vast.key, vast.instances, vast.spent_usd ...

Paths, shapes and errors follow the SDK and the API's own documentation; tests/emulators/test_vast_sdk.py holds it to
the real SDK. It serves from a thread, so that it may be used beside anything; switches may be thrown at any time.
"""

import asyncio
import json
import threading
import time
from itertools import count

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.routing import Route

from tests.emulators.vastinstance import Instance
from tests.emulators.vastmarket import BadQuery, offer, search

KEY = "0123456789abcdef-vast-key"
READ_ONLY_KEY = "0123456789abcdef-read-only"
# Seconds between two calls of one kind by one key.
INTERVALS = {"search": 2.0, "create": 4.5, "list": 2.0, "show": 2.0, "destroy": 3.0, "change": 2.0, "user": 1.0}
WRITING = ("create", "destroy", "change")
MOST_ON_A_PAGE = 25


class Server(uvicorn.Server):
    """uvicorn that ends at once, and not a tenth of a second later."""

    async def main_loop(self):
        while not self.should_exit:
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets=None):
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class VastEmulator:
    """`offers` is the market; `launch(image, environment, label)` gives a container (tests/emulators/encoderhost.py),
    or is None for instances that are only told of. `pace` scales the intervals between calls, `step_seconds` is what
    pulling the image and starting it take each, and money flows `time_scale` times as fast as time."""

    def __init__(self, offers=(), launch=None, pace=0.0, step_seconds=0.02, credit=10.0, time_scale=1.0):
        self.offers, self.launch, self.pace, self.step_seconds = list(offers), launch, pace, step_seconds
        self.credit, self.time_scale, self.key = credit, time_scale, KEY
        self.instances, self.ended, self.calls = {}, [], []
        # Switches.
        self.outage = ""  # "502": it answers so; "drop": it takes calls and drops the connection
        self.is_storming = False  # every call is too frequent
        self.searches_left = None  # the day's quota
        self.listed = None  # what every list is answered with, whatever there is
        self.taken = set()  # offers that somebody else took since the search
        self.refused_offers = set()  # offers that are told of, and never given
        self.stuck_machines = set()  # machine_ids of hosts that never come up
        self.bad_images = {}  # image: what Docker says of it
        self.refused_images = set()  # images that a create is refused for
        self.answer_seconds = 0.0  # creates are made at once, and answered so much later
        self.lost_answers = 0  # so many creates are made, and their answers lost
        self.lost_orders = 0  # so many creates are lost on their way: nothing is made, and nothing answered
        self.holds_orders = False  # creates stay on their way as long as it is set, whoever waits for them
        self.orders_held = 0
        self.failing_destroys = 0  # so many are answered with 500, and do nothing
        self._last, self._numbers, self._begun = {}, count(17_816_188), time.monotonic()
        self._work = set()

    # What tests do to it.

    def add(self, label):
        """An instance that somebody made; it stays as it is."""
        row = search([offer()], {})[0]
        instance = Instance(next(self._numbers), row, {"image": "i", "env": {}, "label": label}, self._now)
        self.instances[instance.number] = instance
        return instance

    def vanish(self, number):
        """The instance is gone, and never was."""
        self._end(number)

    def go_offline(self, number):
        """The host is cut off."""
        self.instances[number].end("offline")

    @property
    def spent_usd(self):
        return sum(instance.usd() for instance in [*self.ended, *self.instances.values()])

    def called(self, name):
        return sum(1 for call, _ in self.calls if call == name)

    def __enter__(self):
        config = uvicorn.Config(
            self._app(), host="127.0.0.1", port=0, ws="none", lifespan="off", log_config=None, access_log=False
        )
        self._server = Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.002)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_):
        self.holds_orders = False
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        for number in list(self.instances):
            self._end(number)

    # How it is made.

    def _app(self):
        routes = [
            Route("/api/v0/bundles/", self._called("search", self._search), methods=["POST"]),
            Route("/api/v0/asks/{id}/", self._called("create", self._create), methods=["PUT"]),
            Route("/api/v1/instances/", self._called("list", self._list), methods=["GET"]),
            Route("/api/v0/instances/{id}/", self._called("show", self._show), methods=["GET"]),
            Route("/api/v0/instances/{id}/", self._called("destroy", self._destroy), methods=["DELETE"]),
            Route("/api/v0/instances/{id}/", self._called("change", self._change), methods=["PUT"]),
            Route("/api/v0/users/current", self._called("user", self._user), methods=["GET"]),
        ]
        inner = Starlette(routes=routes)

        async def app(scope, receive, send):
            scope["transport"] = receive.__self__.transport  # uvicorn's, to drop connections with
            await inner(scope, receive, send)

        return app

    def _called(self, name, answer):
        async def endpoint(request):
            self.calls.append((name, time.monotonic()))
            if self.outage == "drop":
                return drop(request)
            if self.outage:
                return HTMLResponse("<html><h1>this is not the API</h1></html>", int(self.outage))
            key = request.headers.get("authorization", "").removeprefix("Bearer ")
            if key not in (KEY, READ_ONLY_KEY):
                return failure(401, "auth_error", "Invalid user key")
            if key == READ_ONLY_KEY and name in WRITING:
                return failure(403, "forbidden", "This API key does not have permission to do this")
            if too_soon := self._too_soon(name, key):
                return too_soon
            return await answer(request)

        return endpoint

    def _too_soon(self, name, key):
        interval, now = INTERVALS[name] * self.pace, time.monotonic()
        if self.is_storming or now - self._last.get((name, key), -1e9) < interval:
            return PlainTextResponse(f"API requests too frequent: endpoint threshold={interval:.3f}", 429)
        self._last[name, key] = now
        return None

    async def _search(self, request):
        if self.searches_left == 0:
            return failure(429, "search_quota_exceeded", "The daily quota of searches is used up")
        self.searches_left = self.searches_left and self.searches_left - 1
        try:
            return JSONResponse({"offers": search(self.offers, await request.json())})
        except (BadQuery, KeyError, ValueError) as error:
            return failure(400, "invalid_args", str(error))

    async def _create(self, request):
        number, order = int(request.path_params["id"]), await request.json()
        self.orders_held += self.holds_orders
        while self.holds_orders:
            await asyncio.sleep(0.002)
        if self.lost_orders > 0:
            self.lost_orders -= 1
            return drop(request)
        rows = search(self.offers, {"allocated_storage": order.get("disk") or 8})
        row = next((row for row in rows if row["id"] == number), None)
        if row is None or number in self.taken or not row["rentable"] or row["rented"]:
            return failure(410, "no_such_ask", f"Instance type by id {number} is not available.")
        if number in self.refused_offers:
            return failure(400, "invalid_args", "The host does not take this order.")
        if not order.get("image") or order["image"] in self.refused_images:
            return failure(400, "invalid_args", f"Invalid image: {order.get('image')}")
        if self.credit <= self.spent_usd:
            return failure(400, "insufficient_credit", "Your account lacks credit; see the billing page.")
        order["env"] = order.get("env") or {}
        instance = self._made(row, order)
        await asyncio.sleep(self.answer_seconds)
        if self.lost_answers > 0:
            self.lost_answers -= 1
            return drop(request)
        return JSONResponse({"success": True, "new_contract": instance.number, "instance_api_key": "of no use"})

    def _made(self, row, order):
        instance = Instance(next(self._numbers), row, order, self._now)
        self.instances[instance.number] = instance
        next(ask for ask in self.offers if ask["id"] == row["id"])["rented"] = True
        fault, is_stuck = self.bad_images.get(order["image"]), row["machine_id"] in self.stuck_machines
        work = asyncio.create_task(instance.come_up(self.launch, self.step_seconds, fault, is_stuck))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        return instance

    async def _list(self, request):
        if self.listed is not None:
            return JSONResponse(self.listed)
        query = {name: json.loads(value) for name, value in request.query_params.items() if name != "after_token"}
        after = int(request.query_params.get("after_token", 0))
        wanted = query.get("select_filters", {}).items()
        rows = [instance.told() for number, instance in sorted(self.instances.items()) if number > after]
        rows = [row for row in rows if all(row[field] == only["eq"] for field, only in wanted)]
        page = rows[: min(int(query.get("limit", MOST_ON_A_PAGE)), MOST_ON_A_PAGE)]
        token = str(page[-1]["id"]) if len(page) < len(rows) else None
        return JSONResponse({"instances": page, "next_token": token, "total_instances": len(self.instances)})

    async def _show(self, request):
        instance = self.instances.get(int(request.path_params["id"]))
        return JSONResponse({"instances": instance and instance.told()})

    async def _destroy(self, request):
        number = int(request.path_params["id"])
        if self.failing_destroys > 0:
            self.failing_destroys -= 1
            return failure(500, "server_error", "Something went wrong")
        if number not in self.instances:
            return failure(404, "no_such_instance", f"Instance {number} not found.")
        self._end(number)
        return JSONResponse({"success": True, "msg": "Instance destroyed successfully"})

    async def _change(self, request):
        instance, change = self.instances.get(int(request.path_params["id"])), await request.json()
        if instance is None:
            return failure(404, "no_such_instance", "Instance not found.")
        instance.label = change.get("label", instance.label)
        return JSONResponse({"success": True})

    async def _user(self, request):
        left = self.credit - self.spent_usd
        return JSONResponse({"id": 1, "email": "someone@example.com", "credit": left, "balance": 0.0, "api_key": KEY})

    def _end(self, number):
        instance = self.instances.pop(number)
        instance.end()
        self.ended.append(instance)
        for ask in self.offers:
            if ask["id"] == instance.row["id"]:
                ask["rented"] = False

    def _now(self):
        return (time.monotonic() - self._begun) * self.time_scale


def failure(status, error, message):
    return JSONResponse({"success": False, "error": error, "msg": message}, status)


def drop(request):
    """Cut the connection off without a word."""
    request.scope["transport"].abort()
    return PlainTextResponse("")
