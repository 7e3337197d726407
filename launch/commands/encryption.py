"""`berth payload-key` and `berth codec-server`: keeping what Temporal stores to ourselves."""

import typer

from launch.commands.local import settings


def payload_key() -> None:
    """Print a fresh key for BERTH_PAYLOAD_KEY, which encrypts what Temporal stores."""
    from workflows.payload_codec import fresh_key

    typer.echo(fresh_key().in_setting())


def codec_server() -> None:
    """Run the codec server: it decrypts payloads for Temporal's UI and command line."""
    from launch.processes import run_codec_server

    run_codec_server(settings())
