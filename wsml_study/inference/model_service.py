"""A trained model as a small HTTP service: a picture in, probabilities and decisions out as JSON.

`POST /predict` takes the bytes of an image file as the body, or a multipart form with one file. `GET /` says what model
it is, `GET /healthz` whether it works. What is refused gets a 4xx status and `{"error": reason}`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wsml_study.data.decoded_rows import Images
from wsml_study.inference.decisions import WORDS, YES, Decider
from wsml_study.inference.decoding_processes import DecodingProcesses
from wsml_study.inference.gathered_batches import GatheredBatches
from wsml_study.inference.model import TrainedModel
from wsml_study.inference.received_picture import NAMES, PictureFormat, RefusedPictureError
from wsml_study.record.decision_rules import has_rules

MOST_FIELDS = 10
"""Of a form, beside its file; they are ignored."""

DRAINED = 8
"""Times the limit that a too large body is read on and dropped, so that its sender gets to read the reply."""

CLOSING = {"Connection": "close"}
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may cost.

    Attributes:
        num_bytes: of a body.
        num_pixels: width times height of a picture.
        seconds: to receive the body, to decode it, and to wait for the model, each.
        num_requests: at work or waiting at once; further ones are refused with 503.
    """

    num_bytes: int = 10 * 2**20
    num_pixels: int = 50_000_000
    seconds: float = 10.0
    num_requests: int = 64


class ModelService:
    """The service of one model."""

    def __init__(self, model: TrainedModel, limits: Limits, *, batch_size: int | None = None) -> None:
        """Nothing runs before the app starts.

        Args:
            model: loaded.
            limits: of a request.
            batch_size: most pictures that are computed at once; by default as in training.

        Raises:
            ResultsError: the model's thresholds are damaged.
        """
        self._model, self._limits = model, limits
        self._decider: Decider | None = model.decider() if has_rules(model.folder) else None
        self._batches = GatheredBatches(model.probabilities, most=batch_size or model.batch_size)
        self._num_requests = self._num_answered = 0

    def app(self) -> Starlette:
        """The app, which starts and ends the processes that decode."""
        routes = [
            Route("/", self._described),
            Route("/healthz", self._health),
            Route("/predict", self._predicted, methods=["POST"]),
        ]
        handlers: Mapping[Any, Any] = {HTTPException: _refused_by_router, RefusedPictureError: _refused}
        return Starlette(routes=routes, exception_handlers=handlers, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        taken = PictureFormat(
            size=self._model.image_size,
            channels=self._model.channels,
            pixel_range=self._model.pixel_range,
            most_pixels=self._limits.num_pixels,
            interpolation=self._model.interpolation,
        )
        count = max(2, os.cpu_count() or 1)
        with (
            DecodingProcesses(count, taken, seconds=self._limits.seconds) as self._decoding,
            ThreadPoolExecutor(max_workers=count, thread_name_prefix="decode") as self._threads,
        ):
            yield

    async def _described(self, request: Request) -> Response:
        limits = self._limits
        return JSONResponse(
            {
                "model": self._model.name,
                "classes": list(self._model.classes),
                "thresholds": None if self._decider is None else str(self._decider.rules.target),
                "predict": "POST a picture to /predict, as the body or as the one file of a multipart form; ?top=5 for "
                "the likeliest classes only",
                "formats": NAMES,
                "limits": {
                    "bytes": limits.num_bytes,
                    "pixels": limits.num_pixels,
                    "seconds": limits.seconds,
                    "requests": limits.num_requests,
                },
            }
        )

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "requests": self._num_requests, "answered": self._num_answered})

    async def _predicted(self, request: Request) -> Response:
        top = _top(request, len(self._model.classes))
        if self._num_requests >= self._limits.num_requests:
            raise RefusedPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once; try again later")
        self._num_requests += 1
        try:
            content = await _picture_of(request, self._limits)
            row_C = await self._row(content)
        finally:
            self._num_requests -= 1
        self._num_answered += 1
        return JSONResponse(self._reply(row_C, top))

    async def _row(self, content: bytes) -> npt.NDArray[np.float64]:
        """Probabilities (C,) of a picture."""
        loop = asyncio.get_running_loop()
        try:
            # Decoding has a limit of its own; the second one is for the queues before decoding and the model.
            async with asyncio.timeout(2 * self._limits.seconds):
                pixels: Images = await loop.run_in_executor(self._threads, self._decoding.decode, content)
                return await self._batches.row(pixels)
        except TimeoutError:
            raise RefusedPictureError(HTTPStatus.SERVICE_UNAVAILABLE, "too much to do; try again later") from None
        except RefusedPictureError:
            raise
        except Exception as error:  # of the model, on its device
            LOG.exception("the model failed")
            raise RefusedPictureError(HTTPStatus.INTERNAL_SERVER_ERROR, f"the model failed: {error}") from error

    def _reply(self, probability_C: npt.NDArray[np.float64], top: int | None) -> dict[str, Any]:
        shown: dict[str, list[Any]] = {"class": list(self._model.classes), "probability": probability_C.tolist()}
        reply: dict[str, Any] = {"model": self._model.name}
        if self._decider is not None:
            decisions = self._decider.decisions(probability_C[None])[0].tolist()
            shown["calibrated"] = self._decider.calibrated(probability_C[None])[0].tolist()
            shown["decision"] = [WORDS[decision] for decision in decisions]
            reply["decided"] = [
                name for name, decision in zip(self._model.classes, decisions, strict=True) if decision == YES
            ]
        order = range(len(probability_C)) if top is None else np.argsort(-probability_C, kind="stable")[:top].tolist()
        return reply | {"classes": [{key: values[column] for key, values in shown.items()} for column in order]}


def _top(request: Request, num_classes: int) -> int | None:
    """How many classes are asked for; None for all."""
    if unknown := sorted(set(request.query_params) - {"top"}):
        raise RefusedPictureError(HTTPStatus.BAD_REQUEST, f"unknown parameter {unknown[0][:40]!r}; expected top")
    text = request.query_params.get("top")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text) > 0):
        raise RefusedPictureError(HTTPStatus.BAD_REQUEST, f"top: expected a whole number from 1 on, got {text[:40]!r}")
    return min(int(text), num_classes)


async def _picture_of(request: Request, limits: Limits) -> bytes:
    """The bytes of the picture of a request."""
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _body_of(request, limits.num_bytes)
    except TimeoutError:
        raise RefusedPictureError(
            HTTPStatus.REQUEST_TIMEOUT, f"the picture did not arrive within {limits.seconds:g} s"
        ) from None
    except ClientDisconnect:
        raise RefusedPictureError(HTTPStatus.BAD_REQUEST, "the connection was closed") from None
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        body = await _file_of(request, body)
    if not body:
        raise RefusedPictureError(HTTPStatus.BAD_REQUEST, "expected a picture, got nothing")
    return body


async def _body_of(request: Request, most: int) -> bytes:
    """The body. Of one that is too large the rest is dropped, within limits."""
    body, received = bytearray(), 0
    async for part in request.stream():
        received += len(part)
        if received <= most:
            body += part
        elif received > DRAINED * most:
            break
    if received > most:
        raise RefusedPictureError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {most:,} bytes; send the picture smaller"
        )
    return bytes(body)


async def _file_of(request: Request, body: bytes) -> bytes:
    """The one file of a multipart form."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    try:
        parser = MultiPartParser(request.headers, stream(), max_files=1, max_fields=MOST_FIELDS)
        form = await parser.parse()
    except Exception as error:  # a malformed form can make the parser raise anything
        reason = str(error) or type(error).__name__
        raise RefusedPictureError(HTTPStatus.BAD_REQUEST, f"not a multipart form with one file: {reason}") from error
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if not files:
        raise RefusedPictureError(
            HTTPStatus.BAD_REQUEST, "expected a multipart form with one file, got none, or a part"
        )
    content = await files[0].read()
    await form.close()
    return content


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedPictureError)
    headers = {}
    if error.status in (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ):
        headers = dict(CLOSING)  # of the body a part may be unread
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return JSONResponse({"error": error.reason}, error.status, headers)


async def _refused_by_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = {404: "expected /predict, /healthz or /", 405: f"{request.method} is not understood here"}
    text = reason.get(error.status_code, error.detail)
    return JSONResponse({"error": text}, error.status_code, error.headers)
