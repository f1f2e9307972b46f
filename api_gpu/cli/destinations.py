"""The commands that keep the credentials of buckets at the gateway, for results that are put there."""

from typing import Annotated

import typer

app = typer.Typer(help="Buckets that results are put into (s3://BUCKET/KEY).", no_args_is_help=True)

TenantOption = Annotated[str, typer.Option(help="Whose, with a key of the scope admin; that of the key by default.")]


@app.command()
def add(
    context: typer.Context,
    bucket: Annotated[str, typer.Argument(help="Name of the bucket.")],
    region: Annotated[
        str, typer.Option(help="Region that requests are signed for; auto at Cloudflare R2.")
    ] = "us-east-1",
    endpoint: Annotated[str, typer.Option(help="Scheme and host of a store that is not Amazon S3.")] = "",
    path_style: Annotated[
        bool | None, typer.Option(help="Whether the bucket is in the path of URLs; it is where --endpoint is given.")
    ] = None,
    access_key_id: Annotated[
        str, typer.Option(envvar="AWS_ACCESS_KEY_ID", prompt=True, help="Id of the access key.")
    ] = "",
    secret_access_key: Annotated[
        str, typer.Option(envvar="AWS_SECRET_ACCESS_KEY", prompt=True, hide_input=True, help="The access key itself.")
    ] = "",
    session_token: Annotated[
        str, typer.Option(envvar="AWS_SESSION_TOKEN", help="Session token of temporary credentials.")
    ] = "",
    test: Annotated[bool, typer.Option(help="Put a small object to see whether that works.")] = True,
    tenant: TenantOption = "",
) -> None:
    """Keep the credentials of a bucket, in place of those that there were."""
    with context.obj.client() as client:
        kept = client.destinations.add(
            bucket,
            access_key_id,
            secret_access_key,
            region=region,
            endpoint=endpoint,
            path_style=path_style,
            session_token=session_token,
            test=test,
            tenant=tenant,
        )
    context.obj.show(kept, lambda _: print(f"results can be put to s3://{kept.bucket}/"))


@app.command("list")
def show(context: typer.Context, tenant: TenantOption = "") -> None:
    """List the buckets whose credentials are kept."""
    from api_gpu.cli.tables import print_rows

    with context.obj.client() as client:
        found = client.destinations.list(tenant)
    rows = [(one.bucket, one.region, one.endpoint or "Amazon S3", one.access_key_id) for one in found]
    context.obj.show(found, lambda _: print_rows(("bucket", "region", "store", "access key"), rows))


@app.command()
def remove(context: typer.Context, bucket: str, tenant: TenantOption = "") -> None:
    """Forget the credentials of a bucket."""
    with context.obj.client() as client:
        client.destinations.remove(bucket, tenant)
    print(f"the credentials of {bucket} are forgotten")
