# An encoder for processors (libx264): docker build -f deploy/encoder.Dockerfile -t api-gpu-encoder .
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
RUN sh packages.sh install encoder,cjk

FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall --yes pip \
    && rm -r /usr/local/lib/python3.12/ensurepip \
    && useradd --uid 10001 --create-home encoder \
    && install --directory --owner encoder /work /certs
COPY --from=build /opt/api-gpu /opt/api-gpu

# What whoever passes it on must heed is in /opt/api-gpu/NOTICES.
LABEL org.opencontainers.image.licenses="GPL-3.0-or-later"
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
