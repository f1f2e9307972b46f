# The gateway: docker build -f deploy/gateway.Dockerfile -t api-gpu-gateway .
# It also has the command line; certificates for the caller, in the folder `certs`:
#   mkdir certs
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/certs:/certs" api-gpu-gateway api-gpu certs --dir /certs --host NAME
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
        "$(echo /wheels/*.whl)[server]"

FROM python:3.12-slim-bookworm

RUN pip uninstall --yes pip \
    && useradd --uid 10001 --create-home api-gpu \
    && install --directory --owner api-gpu /data /logs /certs
COPY --from=build /opt/api-gpu /opt/api-gpu

ENV PATH=/opt/api-gpu/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    LOGS_DIR=/logs \
    TLS_CERT=/certs/gateway.crt \
    TLS_KEY=/certs/gateway.key \
    TLS_CLIENT_CA=/certs/client-ca.crt \
    ENCODER_CA=/certs/ca.crt \
    HEALTH_PORT=50053 \
    METRICS_PORT=9464

USER 10001
WORKDIR /home/api-gpu
VOLUME /data
# JSON, gRPC, probes.
EXPOSE 3000 50051 50053 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD python -m servicekit.probe "$HEALTH_PORT"
# SIGTERM: what runs may end for DRAIN_SECONDS, so give `docker stop` more than that.
CMD ["python", "-m", "gateway"]
