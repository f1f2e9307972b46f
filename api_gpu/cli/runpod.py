"""The commands that make and remove an endpoint of RunPod Serverless."""

import sys
from typing import Annotated

import typer

from api_gpu.cli.services import require

app = typer.Typer(help="Encoders at RunPod Serverless; RUNPOD_API_KEY says whose.", no_args_is_help=True)

NAME = "api-gpu-encoder"
NameOption = Annotated[str, typer.Option(help="Name of the endpoint.")]


@app.command()
def deploy(
    image: Annotated[str, typer.Option(help="The image of deploy/runpod.Dockerfile, in a registry.")],
    name: NameOption = NAME,
    gpu: Annotated[list[str] | None, typer.Option(help="Card that will do; may be repeated.")] = None,
    min_workers: Annotated[int, typer.Option(min=0, help="Workers that are always there, and paid for.")] = 0,
    max_workers: Annotated[int, typer.Option(min=1, help="Workers at most.")] = 3,
    idle_timeout: Annotated[int, typer.Option(min=1, max=3600, help="Seconds until an idle worker ends.")] = 300,
    queue_delay: Annotated[
        float, typer.Option(min=0.5, help="Seconds that a task waits until one more worker starts.")
    ] = 20,
    execution_timeout: Annotated[int, typer.Option(min=5, help="Seconds that a task may take.")] = 600,
    flashboot: Annotated[bool, typer.Option(help="Start workers from a snapshot (FlashBoot).")] = True,
    disk: Annotated[int, typer.Option(min=5, help="Disk of a worker, GB.")] = 20,
    registry_auth: Annotated[str, typer.Option(help="RunPod's id of the key to a private registry.")] = "",
    env: Annotated[list[str] | None, typer.Option(help="Setting of the encoder, NAME=VALUE; may be repeated.")] = None,
) -> None:
    """Make or update the endpoint, and print the settings that the gateway needs."""
    require()
    from api_gpu.deploy.runpod import Account, Deployment, RunPodSettings

    wanted = Deployment(
        name=name,
        image=image,
        gpu_types=gpu or (),
        min_workers=min_workers,
        max_workers=max_workers,
        idle_timeout_seconds=idle_timeout,
        execution_timeout_seconds=execution_timeout,
        is_flashboot=flashboot,
        disk_gb=disk,
        registry_auth_id=registry_auth,
        environment=dict(map(_pair, env or [])),
        queue_delay_seconds=queue_delay,
    )
    endpoint = Account.connect(RunPodSettings.load()).deploy(wanted, _print)
    _print("the gateway needs these, and RUNPOD_API_KEY, and a PUBLIC_URL that leads to it from the internet:")
    print(f"RUNPOD_ENDPOINT_ID={endpoint}")
    print(f"RUNPOD_IDLE_TIMEOUT={idle_timeout}")
    print(f"RUNPOD_MAX_TIMEOUT={execution_timeout}")
    print(f"RUNPOD_MAX_WORKERS={max_workers}")
    print(f"RUNPOD_SLOTS={wanted.slots}")


@app.command()
def destroy(name: NameOption = NAME) -> None:
    """Remove the endpoint with its workers and what is in its queue."""
    require()
    from api_gpu.deploy.runpod import Account, RunPodSettings

    Account.connect(RunPodSettings.load()).destroy(name, _print)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise typer.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--env")
    return name, value


def _print(text: str) -> None:
    print(text, file=sys.stderr)
