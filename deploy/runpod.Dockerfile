# A worker of RunPod Serverless: docker build -f deploy/runpod.Dockerfile -t REGISTRY/api-gpu-runpod:1 .
# The driver's libraries are not in it: NVIDIA's container runtime brings those of the host (docs/guides/runpod.md).
FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY deploy/runpod.lock ./
COPY servicekit servicekit
COPY gateway gateway
COPY encoder encoder
COPY api_gpu api_gpu
COPY gen gen
# The pinned versions, as in the tests, each held to its hash; what only tests and tools need stays out.
RUN pip wheel --no-cache-dir --no-deps --require-hashes --wheel-dir /packages \
        --requirement requirements.lock --requirement runpod.lock \
    && pip install --no-cache-dir --no-index --find-links /packages '.[server,nvenc,cjk,runpod]' \
    && rm -r /packages

RUN useradd --create-home encoder && mkdir /work && chown encoder /work
USER encoder
WORKDIR /home/encoder

# "video" is NVENC and NVDEC; the runtime's default leaves it out. RunPod's SDK logs each of its questions at DEBUG.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    PYTHONSAFEPATH=1 \
    WORK_DIR=/work/tasks \
    LOGS_DIR=/work/logs \
    RUNPOD_LOG_LEVEL=INFO

CMD ["python", "-m", "encoder.runpod.worker"]
