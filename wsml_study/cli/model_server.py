"""The command that serves a model over HTTP."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from wsml_study.cli.models import PANEL, Device, ModelFolder, OnDevice

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def serve_model(
    model: ModelFolder,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. Others than 127.0.0.1 let other machines in, without a password."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    megabytes: Annotated[float, typer.Option(min=0.001, max=1000, help="Largest file that is taken.")] = 10.0,
    megapixels: Annotated[float, typer.Option(min=0.001, max=1000, help="Largest picture that is decoded.")] = 50.0,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Longest time to receive a file, and to decode it.")
    ] = 10.0,
    requests: Annotated[
        int, typer.Option(min=1, max=10_000, help="Requests at once; further ones are told to try again later.")
    ] = 64,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most pictures that are computed at once. Default: as in training.", show_default=False
        ),
    ] = None,
    device: OnDevice = Device.AUTO,
) -> None:
    """Serve a model over HTTP: POST a picture to /predict, probabilities and decisions come back as JSON.

    Example: `curl --data-binary @photo.jpg http://127.0.0.1:8000/predict`. Ctrl-C ends it.
    """
    from wsml_study.cli.output import say
    from wsml_study.inference.model_service import Limits
    from wsml_study.inference.model_serving import is_loopback, served_model

    limits = Limits(
        num_bytes=round(megabytes * 2**20),
        num_pixels=round(megapixels * 1e6),
        seconds=seconds,
        num_requests=requests,
    )
    with served_model(model, host=host, port=port, limits=limits, batch_size=batch_size, device=device) as (address, _):
        if not is_loopback(host):
            say(
                f"note: on {host} every machine that reaches this one may use the model; there is no password and no "
                f"encryption. Let a proxy with both stand before it."
            )
        say(f"{model} at {address}")
        print(f"curl --data-binary @photo.jpg {address}/predict    (Ctrl-C ends)", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()
