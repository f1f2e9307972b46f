"""A receiver of files that are put: it answers with the statuses it is told to, hangs, or breaks off."""

import hashlib
import http.server
import threading

HANG, BREAK_OFF, REFUSE_EARLY = -1, -2, -3
BREAK_AFTER_BYTES = 65536


class PutReceiver:
    """Answers with what is in `answers`, then with 200, the MD5 as ETag. HANG reads and never answers, BREAK_OFF closes
    in the middle of the body, REFUSE_EARLY answers 403 before the body."""

    def __init__(self, *answers, body=b"", keeps=True):
        self.answers, self.puts, self.ended = list(answers), [], threading.Event()
        # Bytes that came in all, and what stands at each path.
        self.received_bytes, self.stored, self.keeps = 0, {}, keeps
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                answer = receiver.answers.pop(0) if receiver.answers else 200
                receiver.puts.append((self.path, dict(self.headers.items()), answer))
                if answer == BREAK_OFF:
                    self.rfile.read(BREAK_AFTER_BYTES)
                    return
                if answer == REFUSE_EARLY:
                    self.connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    return
                digest = self.take(int(self.headers["content-length"]))
                if answer == HANG:
                    receiver.ended.wait()
                    return
                self.send_response(answer)
                if answer == 200:
                    self.send_header("etag", f'"{digest}"')
                self.send_header("content-length", str(len(body) if answer >= 400 else 0))
                self.end_headers()
                self.wfile.write(body if answer >= 400 else b"")

            def take(self, left):
                digest, parts = hashlib.md5(usedforsecurity=False), []
                while left and (part := self.rfile.read(min(left, 1 << 18))):
                    left -= len(part)
                    receiver.received_bytes += len(part)
                    digest.update(part)
                    if receiver.keeps:
                        parts.append(part)
                receiver.stored[self.path.partition("?")[0]] = b"".join(parts)
                return digest.hexdigest()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path, query="X-Amz-Signature=secret"):
        return f"http://127.0.0.1:{self._server.server_port}/{path}?{query}"

    @property
    def paths(self):
        return [path.partition("?")[0] for path, _, _ in self.puts]
