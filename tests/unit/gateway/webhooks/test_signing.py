"""Secrets and signatures of webhooks, held against the text of Standard Webhooks; and how the client reads a call."""

import base64
import time

import pytest

from api_gpu.webhooks import read
from gateway.config import GatewaySettings
from gateway.kept_secrets import webhook_secrets
from gateway.webhooks.signing import WebhookSigner, check_secret, new_secret
from servicekit.config import ConfigError
from servicekit.errors import Unauthenticated
from tests.support.hook_receiver import SECRET, is_signed

BODY = '{"type":"job.ended","data":{"id":"1","note":"é 漢"}}'.encode()


def signed(now=None, secret=SECRET):
    headers = WebhookSigner([new_secret().decode(), secret]).headers("msg_1", now or time.time(), BODY)
    return {name.lower(): value for name, value in headers.items()}


def test_each_secret_signs():
    headers = signed()
    assert is_signed(headers, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    assert not is_signed(headers, BODY + b" ")


def test_the_client_reads_what_is_signed_and_nothing_else():
    call = read(BODY, signed(), SECRET)
    assert (call.id, call.type, call.job["note"]) == ("msg_1", "job.ended", "é 漢")
    wrong = [
        (BODY + b" ", signed()),
        (BODY, signed(secret=new_secret().decode())),
        (BODY, signed(time.time() - 400)),
        (BODY, {}),
        (BODY, signed() | {"webhook-signature": "v1"}),
        (b"\xff", signed()),
    ]
    for body, headers in wrong:
        with pytest.raises(Unauthenticated):
            read(body, headers, SECRET)


def test_a_secret_is_one_of_standard_webhooks():
    check_secret(SECRET)
    check_secret(new_secret().decode())
    short = "whsec_" + base64.b64encode(b"x" * 23).decode()
    for wrong in ("", "secret", "whsec_", "whsec_!!!!", short, SECRET.removeprefix("whsec_")):
        with pytest.raises(ValueError, match="whsec_"):
            check_secret(wrong)


def test_secrets_come_from_the_setting_or_are_made_once(tmp_path):
    given = GatewaySettings.load(x_api_key="k", data_dir=tmp_path, webhook_secret=f" {SECRET} , {SECRET}")
    assert webhook_secrets(given) == (SECRET, SECRET)
    with pytest.raises(ConfigError, match="WEBHOOK_SECRET"):
        GatewaySettings.load(x_api_key="k", webhook_secret="short")
    made = webhook_secrets(GatewaySettings.load(x_api_key="k", data_dir=tmp_path))
    check_secret(made[0])
    assert webhook_secrets(GatewaySettings.load(x_api_key="k", data_dir=tmp_path)) == made
    assert (tmp_path / "webhook.key").stat().st_mode & 0o777 == 0o600
