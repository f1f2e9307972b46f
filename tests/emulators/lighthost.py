"""Hosts whose encoders tell that they are there, and do nothing else: for tests with many machines."""

from concurrent.futures import ThreadPoolExecutor

import grpc

from apigpu.encoder.v1 import encoder_pb2, encoder_pb2_grpc
from servicekit.server_tls import ReloadingIdentity, ServerTls
from servicekit.tls import Identity


class LightHost:
    """Called as EncoderHost is: with the image, the environment and the label."""

    def __init__(self, slots=3):
        self.slots, self.started = slots, []

    def __call__(self, image, environment, label):
        container = LightContainer(environment, self.slots)
        self.started.append(container)
        return container


class LightContainer:
    """A gRPC server with the TLS identity of the environment, in place of an encoder."""

    def __init__(self, environment, slots):
        self.is_alive, self.is_silent, self._slots = True, False, slots
        self._threads = ThreadPoolExecutor(1)
        self._server = grpc.server(self._threads)
        encoder_pb2_grpc.add_EncoderServiceServicer_to_server(self, self._server)
        identity = ReloadingIdentity(Identity.parse(environment["TLS_BUNDLE"]))
        credentials = ServerTls(identity, require_client=True).credentials()
        port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self._server.start()
        self.ports = {f"{environment['PORT']}/tcp": port}

    def kill(self):
        self.is_alive = False
        self._server.stop(None).wait(1)
        self._threads.shutdown()

    def GetCapabilities(self, request, context):
        if self.is_silent:
            context.abort(grpc.StatusCode.UNAVAILABLE, "silent")
        return encoder_pb2.GetCapabilitiesResponse(slots=self._slots)

    def Encode(self, requests, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "it only tells that it is there")
