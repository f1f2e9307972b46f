"""Uploads a file with tuspy: client.py ENDPOINT FILE CHUNK_BYTES. The key is in X_API_KEY. Prints the asset."""

import os
import sys

from tusclient.client import TusClient

endpoint, path, chunk_bytes = sys.argv[1:]
client = TusClient(endpoint, headers={"X-API-Key": os.environ["X_API_KEY"]})
uploader = client.uploader(
    path,
    metadata={"filename": os.path.basename(path), "filetype": "video/mp4"},
    chunk_size=int(chunk_bytes),
    retries=8,
    retry_delay=1,
    upload_checksum=True,
)
uploader.upload()
print(uploader.request.response_headers["upload-asset"])
