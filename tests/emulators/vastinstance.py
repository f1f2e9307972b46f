"""An instance of the emulated Vast.ai: what it is, how it comes up, what it costs."""

import asyncio
import time

SECONDS_OF_HOUR = 3600.0
# The states in which the container counts as started, and its card is paid for.
PAID = ("running",)


class Instance:
    """Made of the offer that was taken and the order that was given; its states are those that the real API tells."""

    def __init__(self, number, row, order, clock):
        self.number, self.row, self.order, self.clock = number, row, order, clock
        self.label = order.get("label")
        self.status, self.intended, self.message = None, order.get("target_state", "running"), ""
        self.container, self.ports, self.ended_at = None, {}, None
        self.created_at, self.created_time, self.running_at = clock(), time.time(), None

    @property
    def environment(self):
        return {key: str(value) for key, value in self.order["env"].items() if not key.startswith("-")}

    async def come_up(self, launch, seconds, fault, is_stuck):
        """Pull the image and start it, in `seconds` for each; `fault` is what Docker says instead, and a host that
        `is_stuck` never gets there."""
        await asyncio.sleep(seconds)
        self.status, self.message = "loading", f"pulling {self.order['image']}"
        await asyncio.sleep(seconds)
        if fault:
            self.message = f"Error response from daemon: {fault}"
        elif not is_stuck and self.ended_at is None:
            self.started(launch)

    def started(self, launch):
        self.ports = {f"{port}/tcp": 40_000 + self.number % 1000 for port in self.asked_ports()}
        if launch:
            self.container = launch(self.order["image"], self.environment, self.label)
            self.ports = self.container.ports
        self.status, self.running_at = "running", self.clock()
        self.message = f"success, running {self.order['image']}"

    def asked_ports(self):
        return [key.split(":")[-1].strip() for key in self.order["env"] if key.startswith("-p ")]

    def end(self, status=None):
        """Kill what runs; `status` is what is told of it then, if it is told of at all."""
        if self.container:
            self.container.kill()
        self.status, self.ended_at = status, self.clock()

    def usd(self):
        """The disk is paid for from the creation on, the card while the container runs."""
        until = self.clock() if self.ended_at is None else self.ended_at
        running = until - self.running_at if self.running_at is not None else 0.0
        disk, card = self.row["storage_total_cost"], self.row["dph_base"]
        return (disk * (until - self.created_at) + card * running) / SECONDS_OF_HOUR

    def told(self):
        """The row of the instance as the API answers it."""
        if self.status == "running" and self.container and not self.container.is_alive:
            self.status, self.message = "exited", "the container has exited"
        shared = ("machine_id", "host_id", "num_gpus", "gpu_name", "dph_base", "dph_total", "driver_version", "inet_up")
        shared += ("inet_down", "cuda_max_good", "cpu_cores_effective", "disk_space", "reliability2", "geolocation")
        return {name: self.row[name] for name in (*shared, "end_date", "storage_total_cost")} | {
            "id": self.number,
            "label": self.label,
            "actual_status": self.status,
            "intended_status": self.intended,
            "cur_state": self.intended,
            "next_state": self.intended,
            "status_msg": self.message,
            "image_uuid": self.order["image"],
            "image_runtype": self.order.get("runtype", "ssh_proxy"),
            "extra_env": [[key, value] for key, value in self.order["env"].items()],
            "onstart": self.order.get("onstart"),
            # The real one has a line end behind it now and then.
            "public_ipaddr": f"{self.row['public_ipaddr']}\n" if self.status else None,
            "ports": {
                inside: [{"HostIp": "0.0.0.0", "HostPort": str(outside)}, {"HostIp": "::", "HostPort": str(outside)}]
                for inside, outside in self.ports.items()
            },
            "ssh_host": "ssh4.vast.ai",
            "ssh_port": 10_000 + self.number % 1000,
            "start_date": self.created_time,
            "is_bid": False,
        }
