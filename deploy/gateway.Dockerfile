# The gateway: docker build -f deploy/gateway.Dockerfile -t api-gpu-gateway .
# It also has the command line; certificates for the caller, in the folder `certs`:
#   mkdir certs
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/certs:/certs" api-gpu-gateway api-gpu certs --dir /certs --host NAME
# The pinned versions, as in the tests, each held to its hash, for the machine that the image is for. Neither of the first
# two stages is in the image.
FROM --platform=$BUILDPLATFORM python:3.12-slim-bookworm AS packages
ARG TARGETARCH

WORKDIR /src
COPY deploy/packages.sh requirements.lock ./
RUN sh packages.sh fetch requirements.lock

# What only tests and tools need stays out of the environment that is made, and pip and the build backend too.
FROM packages AS build
ARG TARGETARCH

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY servicekit servicekit
COPY gateway gateway
COPY encoder encoder
COPY api_gpu api_gpu
COPY gen gen
COPY docs docs
RUN sh packages.sh install gateway

FROM python:3.12-slim-bookworm

RUN pip uninstall --yes pip \
    && rm -r /usr/local/lib/python3.12/ensurepip \
    && useradd --uid 10001 --create-home api-gpu \
    && install --directory --owner api-gpu /data /logs /certs
COPY --from=build /opt/api-gpu /opt/api-gpu

# The licences of all packages are in /opt/api-gpu/NOTICES.
LABEL org.opencontainers.image.licenses="MIT"
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
