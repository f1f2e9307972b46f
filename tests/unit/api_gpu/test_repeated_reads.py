"""Which calls gRPC repeats by itself for the client: all that change nothing."""

import importlib
import pkgutil
from collections import defaultdict

from google.api import annotations_pb2

import apigpu.v1
from api_gpu.connection import READING


def test_every_call_that_reads_is_repeated() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for module in pkgutil.iter_modules(apigpu.v1.__path__, "apigpu.v1."):
        file = getattr(importlib.import_module(module.name), "DESCRIPTOR", None)
        for service in file.services_by_name.values() if file is not None else ():
            for method in service.methods:
                if method.GetOptions().Extensions[annotations_pb2.http].get and not method.server_streaming:
                    found[service.name].append(method.name)
    assert {service: sorted(methods) for service, methods in READING.items()} == {
        service: sorted(methods) for service, methods in found.items()
    }
