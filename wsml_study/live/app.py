"""The addresses of the live page, and what each replies."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from wsml_study.errors import ResultsError, WsmlStudyError
from wsml_study.live.commands import CommandRuns, Order, command_text, words_of
from wsml_study.live.followed_study import FollowedStudy, Plain
from wsml_study.live.found_studies import FoundStudies, FoundStudy
from wsml_study.live.gate import POLICY, Gate, report_token
from wsml_study.live.open_questions import OpenQuestions
from wsml_study.live.rendering_thread import Kind, MakePart, RenderingThread
from wsml_study.record.note_log import Note, add_note, read_notes
from wsml_study.record.questions import first_complaint
from wsml_study.report.page.rendering import GENERATOR

REPORT = "report.html"
READ_AHEAD = 2000
OF_REPORT = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:"
)
"""A report is a file that may come from anybody: its scripts get an origin of their own, and cannot use this page."""

OF_QUESTIONS = "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
"""The page of questions brings a policy of its own, which names the one script that it has."""

FOREVER = "private, max-age=31536000, immutable"
KINDS = {".css": "text/css", ".js": "text/javascript", ".json": "application/json"}
UNCHANGED = 304
DRAWING = threading.Lock()
"""Held while the script that draws is put together."""


class LivePage:
    """What the page shows and does, for all studies of a place."""

    def __init__(self, studies: FoundStudies, runs: CommandRuns, *, token: str, script_cache: Path) -> None:
        """Follow the studies of a place.

        Args:
            studies: that are shown.
            runs: keeps the commands that are started.
            token: in every address.
            script_cache: folder that keeps the library that draws.
        """
        self._studies, self._runs, self._token = studies, runs, token
        self._scripts = script_cache
        self._followed: dict[str, FollowedStudy] = {}
        self._questions = OpenQuestions()
        self._rendering = RenderingThread(_parts, begin=self._prepare)

    def app(self) -> ASGIApp:
        """As an ASGI app."""
        get, post = ["GET"], ["POST"]
        routes = [
            Route("/", self._shell, methods=get),
            Route("/study/{key}", self._shell, methods=get),
            Route("/study/{key}/report", self._report, methods=get),
            Route("/study/{key}/questions/{number:int}", self._question_page, methods=get),
            Route("/study/{key}/questions/{number:int}/answers", self._answers, methods=post),
            Route("/static/{name}", self._static, methods=get),
            Route("/api/studies", self._list, methods=get),
            Route("/api/study/{key}", self._study, methods=get),
            Route("/api/study/{key}/results", self._part("results"), methods=get),
            Route("/api/study/{key}/figures", self._part("figures"), methods=get),
            Route("/api/study/{key}/command", self._command, methods=get),
            Route("/api/study/{key}/commands", self._start, methods=post),
            Route("/api/study/{key}/notes", self._note, methods=post),
        ]
        handlers: dict[Any, Any] = {WsmlStudyError: _mendable, HTTPException: _refused, Exception: _failed}
        return Gate(Starlette(routes=routes, exception_handlers=handlers), self._token)

    def close(self) -> None:
        """End what runs beside the requests; commands that were started go on."""
        self._rendering.close()

    def _prepare(self) -> None:
        """Import what draws before the first page asks for it."""
        _style()
        _drawing(self._scripts)

    def _shell(self, request: Request) -> Response:
        if "key" in request.path_params:
            self._study_of(request)
        base = f"/{self._token}"
        html = _page_file("live.html").replace("@base@", base).replace("@version@", _version())
        return HTMLResponse(html)

    def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == "vega.js":
            content = _drawing(self._scripts)
        elif name == "live.css":
            content = _style()
        elif name == "live.js":
            content = _page_file(name)
        elif name == "colors.json":
            content = _colors()
        else:
            raise HTTPException(404, "there is no such file")
        media_type = KINDS[Path(name).suffix]
        return Response(content, media_type=media_type, headers={"Cache-Control": FOREVER})

    def _list(self, request: Request) -> Response:
        shown = []
        for found in self._studies.all():
            overview = self._follow(found.key).snapshot().overview
            keys = ("name", "state", "error", "dataset", "ended", "num_trials", "what", "best", "metric", "left_s")
            shown.append({"key": found.key} | {key: overview.get(key) for key in (*keys, "changed", "confirmation")})
        return _json(request, {"place": self._studies.place, "studies": shown})

    def _study(self, request: Request) -> Response:
        study = self._study_of(request)
        found, snapshot = study.found, study.snapshot()
        try:
            notes: list[Plain] = [note.model_dump() for note in read_notes(found.place)]
            complaint = ""
        except ResultsError as error:
            notes, complaint = [], str(error)
        content = snapshot.overview | {
            "key": found.key,
            "notes": notes,
            "notes_error": complaint,
            "questions": self._questions.sets_of(found),
            "report": self._report_address(found) if _is_report(found.place.folder / REPORT) else None,
            "commands": [run.as_json() for run in self._runs.of_study(found.key)],
            "parts": {kind: self._rendering.want(study, kind) for kind in _shown_parts(request)},
        }
        return _json(request, content)

    def _part(self, kind: Any) -> Callable[[Request], Response]:
        def replied(request: Request) -> Response:
            return _etagged(request, self._rendering.get(self._study_of(request), kind))

        return replied

    def _command(self, request: Request) -> Response:
        """The command line of an order, to be shown before it is confirmed."""
        study = self._study_of(request)
        order = _order(json.dumps({key: _plain(value) for key, value in request.query_params.items()}).encode())
        return JSONResponse({"command": command_text(words_of(study.found, order))})

    async def _start(self, request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(self._start_order, request, content)

    def _start_order(self, request: Request, content: bytes) -> Response:
        study, order = self._study_of(request), _order(content)
        offered = {offer["action"]: offer for offer in study.snapshot().overview.get("offers", ())}
        if order.action not in offered:
            raise HTTPException(409, "the study cannot be read")
        if why_not := offered[order.action]["why_not"]:
            raise HTTPException(409, why_not)
        words = words_of(study.found, order)
        if order.command != command_text(words):
            raise HTTPException(409, "this is not the command that was shown; look at it again")
        self._runs.start(study.found.key, order.action, words)
        study.look_again()
        return JSONResponse({"started": command_text(words)}, 202)

    async def _note(self, request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(self._add_note, request, content)

    def _add_note(self, request: Request, content: bytes) -> Response:
        try:
            given = json.loads(content)
            note = Note(text=given["text"], by=given.get("by", ""))
        except ValidationError as error:
            raise HTTPException(400, f"this is no note: {first_complaint(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HTTPException(400, "expected a note with text and by") from error
        add_note(self._study_of(request).found.place, note)
        return JSONResponse(note.model_dump(), 201)

    def _report_address(self, found: FoundStudy) -> str:
        return f"/{report_token(self._token)}/study/{found.key}/report"

    def _report(self, request: Request) -> Response:
        path = self._study_of(request).found.place.folder / REPORT
        if not _is_report(path):
            raise HTTPException(404, "there is no report yet; the button writes it")
        return HTMLResponse(path.read_bytes(), headers={POLICY: OF_REPORT})

    def _question_page(self, request: Request) -> Response:
        found, number = self._study_of(request).found, request.path_params["number"]
        reply_to = f"/{self._token}/study/{found.key}/questions/{number}/answers"
        return HTMLResponse(self._questions.page(found, number, reply_to), headers={POLICY: OF_QUESTIONS})

    async def _answers(self, request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(self._take_answers, request, content)

    def _take_answers(self, request: Request, content: bytes) -> Response:
        study = self._study_of(request)
        try:
            kept = self._questions.take(study.found, request.path_params["number"], content)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return JSONResponse({"kept": kept})

    def _study_of(self, request: Request) -> FollowedStudy:
        key = request.path_params["key"]
        if self._studies.get(key) is None:
            raise HTTPException(404, "there is no such study here; it was moved or deleted")
        return self._follow(key)

    def _follow(self, key: str) -> FollowedStudy:
        found = self._studies.get(key)
        assert found is not None
        followed = self._followed.get(key)
        if followed is None or followed.found is not found:
            followed = self._followed.setdefault(key, FollowedStudy(found))
        return followed


def _parts() -> dict[Kind, MakePart]:
    from wsml_study.live.results_parts import figures_of, results_of  # late: what draws takes seconds to import

    return {"results": results_of, "figures": figures_of}


def _shown_parts(request: Request) -> list[Kind]:
    """The parts that a page shows, which are made anew as long as it asks."""
    return ["results", "figures"] if "figures" in request.query_params else ["results"]


def _order(content: bytes) -> Order:
    try:
        return Order.model_validate_json(content)
    except ValidationError as error:
        raise HTTPException(400, first_complaint(error)) from error


def _plain(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _json(request: Request, content: Plain) -> Response:
    return _etagged(request, json.dumps(content, allow_nan=False).encode())


def _etagged(request: Request, content: bytes) -> Response:
    etag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=UNCHANGED, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return f'content="{GENERATOR}"'.encode() in file.read(READ_AHEAD)
    except OSError:
        return False


def _drawing(folder: Path) -> str:
    """The script that draws figures; putting it together takes a second, so a file keeps it."""
    from importlib.metadata import version

    path = folder / f"vega-{version('vl-convert-python')}.js"
    with DRAWING:
        if not path.exists():
            from wsml_study.record.files import write_whole
            from wsml_study.report.figures.drawing import javascript

            write_whole(path, javascript().encode())
    return path.read_text()


@cache
def _style() -> str:
    from wsml_study.report.page.rendering import stylesheet

    return f"{stylesheet()}\n{_page_file('live.css')}"


def _colors() -> str:
    """Colors of figures on a light background -> on a dark one."""
    from wsml_study.report.figures.drawing import dark_colors

    return json.dumps(dark_colors())


@cache
def _version() -> str:
    """Changes with the files of the page, whose addresses it is part of."""
    from importlib.metadata import version

    parts = (_page_file("live.js"), _page_file("live.css"), version("vl-convert-python"))
    return hashlib.blake2b("".join(parts).encode(), digest_size=6).hexdigest()


def _page_file(name: str) -> str:
    return (resources.files("wsml_study.live.page") / name).read_text(encoding="utf-8")


def _mendable(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 409)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", error.status_code)


def _failed(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"wsml-study failed ({type(error).__name__})\n", 500)
