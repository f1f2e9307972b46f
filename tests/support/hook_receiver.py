"""A receiver of webhooks on loopback, and the signature worked out by hand."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, it").decode()


def is_signed(headers, body, secret=SECRET):
    """Whether one of the signatures is that of the secret, by the text of Standard Webhooks alone."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    expected = "v1," + base64.b64encode(mac.digest()).decode()
    is_now = abs(time.time() - int(headers["webhook-timestamp"])) < 60
    return is_now and expected in headers["webhook-signature"].split(" ")


class HookReceiver:
    """Answers with the statuses in `answers`, then with 204; a number below 0 hangs until the end."""

    def __init__(self, *answers, tls=None):
        self.calls, self.answers, self.ended = [], list(answers), threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.calls.append((dict(self.headers.items()), body))
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status < 0:
                    receiver.ended.wait()
                    return
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self):
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/hook?token=1"

    @property
    def bodies(self):
        return [json.loads(body) for _, body in self.calls]

    @property
    def types(self):
        return [body["type"] for body in self.bodies]

    @property
    def ids(self):
        return [{name.lower(): value for name, value in headers.items()}["webhook-id"] for headers, _ in self.calls]

    def all_signed(self, secret=SECRET):
        return all(is_signed({n.lower(): v for n, v in headers.items()}, body, secret) for headers, body in self.calls)
