"""Credentials of one instance: certificates and a token that are shared with nothing else and end with it.

The host of a rented instance can read all that the instance is given. So it gets nothing that opens anything else: a CA
is created for this instance alone, signs two certificates, and its key is dropped.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.fleet.instances.instance import InstanceAccess
from gateway.workers.grpc import GrpcEncoder
from servicekit.certificates import CLIENT, CLOCK_SKEW, SERVER, create_authority, issue_certificate
from servicekit.config import Network
from servicekit.tls import Identity

# The common name of the gateways' certificates; nothing checks it.
GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """What an instance is created with: its label, and the encoder's environment (certificate, token, allowed IPs).
    `access` is the gateways' side of it."""

    label: str
    environment: dict[str, str]
    access: InstanceAccess | None = None


def issue(label: str, max_age_seconds: float, gateway_networks: Sequence[Network] = ()) -> LaunchSpec:
    """Issue certificates and a token for the instance `label`, valid for `max_age_seconds` and an hour.

    The encoder accepts calls from `gateway_networks` only (empty: from anywhere).
    """
    lifetime = timedelta(seconds=max_age_seconds) + CLOCK_SKEW
    authority = create_authority(f"{label} CA", lifetime)
    server = issue_certificate(authority, label, [SERVER], [label], lifetime)
    client = issue_certificate(authority, GATEWAY, [CLIENT], [GATEWAY], lifetime)
    ca, token = authority.certificate_pem, secrets.token_urlsafe(32)
    bundle = Identity(server.certificate_pem, server.key_pem, ca)
    environment = {"SESSION_TOKEN": token, "TLS_BUNDLE": bundle.text}
    if gateway_networks:
        environment["ALLOWED_IPS"] = ",".join(map(str, gateway_networks))
    access = InstanceAccess(ca.decode(), client.certificate_pem.decode(), client.key_pem.decode(), token)
    return LaunchSpec(label, environment, access)


def open_encoder(address: str, label: str, access: InstanceAccess) -> GrpcEncoder:
    """Open a channel to the encoder of the instance `label` at `address` (host:port); TLS fails for any other host."""
    bundle = Identity(access.certificate.encode(), access.key.encode(), access.ca.encode())
    return GrpcEncoder(address, bundle.channel_credentials(), access.session_token, tls_name=label, name=label)
