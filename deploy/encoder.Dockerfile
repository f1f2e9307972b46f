# An encoder for processors (libx264): docker build -f deploy/encoder.Dockerfile -t api-gpu-encoder .
FROM python:3.12-slim-bookworm AS build

WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY servicekit servicekit
COPY gateway gateway
COPY encoder encoder
COPY api_gpu api_gpu
COPY gen gen
# The pinned versions, as in the tests, each held to its hash; what only tests and tools need stays out. Neither pip nor
# the build backend is in the environment that is made, nor is this stage in the image.
RUN pip wheel --no-cache-dir --no-deps --require-hashes --wheel-dir /packages --requirement requirements.lock \
    && pip install --no-cache-dir --no-index --find-links /packages hatchling \
    && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/api-gpu \
    && pip --python /opt/api-gpu/bin/python install --no-cache-dir --no-index --find-links /packages \
        "$(echo /wheels/*.whl)[server,cjk]"

FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes pip \
    && useradd --uid 10001 --create-home encoder \
    && install --directory --owner encoder /work /certs
COPY --from=build /opt/api-gpu /opt/api-gpu

ENV PATH=/opt/api-gpu/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    WORK_DIR=/work/tasks \
    LOGS_DIR=/work/logs \
    TLS_CERT=/certs/encoder.crt \
    TLS_KEY=/certs/encoder.key \
    TLS_CA=/certs/ca.crt \
    HEALTH_PORT=50054 \
    METRICS_PORT=9465

USER 10001
WORKDIR /home/encoder
VOLUME /work
# gRPC, probes.
EXPOSE 50052 50054 9465
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD python -m servicekit.probe "$HEALTH_PORT"
# SIGTERM: what runs may end for DRAIN_SECONDS, so give `docker stop` more than that.
CMD ["python", "-m", "encoder"]
