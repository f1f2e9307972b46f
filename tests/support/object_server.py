"""A server that speaks as much of S3 as an asset store needs: objects, ranges, listings, uploads in parts."""

import re
import threading
from datetime import UTC, datetime, timedelta
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "media"


def settings_of(port):
    """The settings of a gateway that keeps its files on the server of a port."""
    return {
        "ASSETS_URL": f"s3://{BUCKET}",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


class ObjectServer(ThreadingHTTPServer):
    """One bucket in memory: `objects` maps keys to bytes and time of writing, `parts` uploads to their parts."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.parts, self.numbers = {}, {}, count(1)

    def keys(self):
        return sorted(self.objects)

    def age(self, key, seconds):
        data, written_at = self.objects[key]
        self.objects[key] = (data, written_at - timedelta(seconds=seconds))

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    @property
    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def target(self):
        split = urlsplit(self.path)
        _, bucket, *key = unquote(split.path).split("/", 2)
        query = {name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        return bucket, "".join(key), query

    def say(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content_Length": len(data)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else data)

    def xml(self, name, inside):
        self.say(200, f"<{name}>{inside}</{name}>".encode(), Content_Type="application/xml")

    def do_PUT(self):
        bucket, key, query = self.target()
        data = self.body
        if bucket != BUCKET:
            return self.say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if source := unquote(self.headers.get("x-amz-copy-source", "")).lstrip("/").removeprefix(f"{BUCKET}/"):
            self.server.objects[key] = self.server.objects[source]
            return self.xml("CopyObjectResult", '<ETag>"copy"</ETag>')
        if "uploadId" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = data
        else:
            self.server.objects[key] = (data, datetime.now(UTC))
        return self.say(200, ETag=f'"{md5(data, usedforsecurity=False).hexdigest()}"')

    def do_POST(self):
        bucket, key, query = self.target()
        body = self.body.decode()
        if bucket != BUCKET:
            self.say(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif "delete" in query:
            keys = re.findall("<Key>(.*?)</Key>", body)
            for one in keys:
                self.server.objects.pop(one, None)
            self.xml("DeleteResult", "".join(f"<Deleted><Key>{one}</Key></Deleted>" for one in keys))
        elif "uploads" in query:
            upload = str(next(self.server.numbers))
            self.server.parts[upload] = {}
            self.xml("InitiateMultipartUploadResult", f"<UploadId>{upload}</UploadId>")
        else:
            parts = self.server.parts.pop(query["uploadId"])
            self.server.objects[key] = (b"".join(parts[number] for number in sorted(parts)), datetime.now(UTC))
            self.xml("CompleteMultipartUploadResult", '<ETag>"whole"</ETag>')

    def do_GET(self):
        bucket, key, query = self.target()
        if bucket == BUCKET and "list-type" in query:
            return self.list(query["prefix"])
        if bucket != BUCKET or key not in self.server.objects:
            return self.say(404, b"<Error><Code>NoSuchKey</Code></Error>")
        data, written_at = self.server.objects[key]
        headers = {"ETag": '"1"', "Last_Modified": f"{written_at:%a, %d %b %Y %H:%M:%S} GMT"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
            part = {"Content_Range": f"bytes {first}-{last}/{len(data)}"}
            return self.say(206, data[first : last + 1], **headers, **part)
        return self.say(200, data, **headers)

    def do_HEAD(self):
        self.do_GET()

    def do_DELETE(self):
        self.server.objects.pop(self.target()[1], None)
        self.say(204)

    def list(self, prefix):
        entries = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{written_at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<Size>{len(data)}</Size></Contents>"
            for key, (data, written_at) in sorted(self.server.objects.items())
            if key.startswith(prefix)
        )
        self.xml("ListBucketResult", entries)
