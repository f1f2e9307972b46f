# An encoder for NVIDIA cards: docker build -f deploy/encoder-gpu.Dockerfile -t api-gpu-encoder .
# The driver's libraries are not in it: NVIDIA's container runtime brings those of the host (docs/nvenc.md).
FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY rpc rpc
COPY gateway gateway
COPY encoder encoder
COPY client client
COPY gen gen
# The pinned versions, as in the tests; what only tests and tools need stays out.
RUN pip install --no-cache-dir --constraint requirements.lock '.[nvenc,cjk]'

RUN useradd --create-home encoder && mkdir /work && chown encoder /work
USER encoder
WORKDIR /home/encoder

# "video" is NVENC and NVDEC; the runtime's default leaves it out.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    WORK_DIR=/work/tasks \
    LOGS_DIR=/work/logs \
    TLS_CERT=/certs/encoder.crt \
    TLS_KEY=/certs/encoder.key \
    TLS_CA=/certs/ca.crt

EXPOSE 50052 50054
CMD ["python", "-m", "encoder"]
