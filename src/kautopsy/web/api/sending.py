"""What hosts send: a small report ahead of a dump, and files, in pieces if need be."""

from __future__ import annotations

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from kautopsy.fleet.intake.edge import receive_report
from kautopsy.fleet.nouns import Intake, Role, Upload
from kautopsy.model.base import Noun
from kautopsy.model.errors import KautopsyError, RefusedError, UsageError
from kautopsy.web.api.operation import (
    PREFIX,
    Call,
    Operation,
    Parameter,
    admit,
    answered,
    problem,
)

_BLOCK = 1 << 20


class Small(Noun, frozen=True, kw_only=True):
    """A document of ``kautopsy report --json``, and the end of the console's log.

    The document alone, without this envelope, is taken too.
    """

    report: msgspec.Raw
    log: str = ""
    host: str = ""


class Announced(Noun, frozen=True, kw_only=True):
    """A file that is going to be sent; ``sha256`` is of the whole of it."""

    name: str
    size: int
    sha256: str
    host: str = ""


class _Document(Noun, frozen=True, kw_only=True):
    schema: str = ""


def _report(call: Call) -> Intake:
    said = call.context.query("host")
    raw, log = call.body, ""
    if not call.read(_Document).schema:
        small = call.read(Small)
        raw, log, said = bytes(small.report), small.log, small.host or said
    return receive_report(
        call.context.database,
        raw,
        host=call.host(said),
        settings=call.context.site.settings,
        log=log.encode(),
        sent_by=call.context.name,
    )


def _begin(call: Call) -> Upload:
    said = call.read(Announced)
    return call.context.site.uploads.begin(
        host=call.host(said.host),
        name=said.name,
        size=said.size,
        sha256=said.sha256,
        sent_by=call.context.name,
    )


def _upload(call: Call) -> Upload:
    """The upload of the path, if it is this token's host's."""
    upload = call.context.site.uploads.status(str(call.context.request.path_params["upload"]))
    call.host(upload.host)
    return upload


def _finish(call: Call) -> Upload:
    return call.context.site.uploads.finish(_upload(call).id)


async def receive(request: Request) -> Response:
    """Bytes of a file, from the header ``Upload-Offset`` on; what arrived is kept if it breaks."""
    try:
        context = await run_in_threadpool(admit, request, Role.HOST, changes=True)
        upload = await run_in_threadpool(_upload, Call(context, b""))
        offset = request.headers.get("upload-offset", "")
        if not offset.isascii() or not offset.isdigit() or len(offset) > 18:
            raise UsageError("is no offset", thing="Upload-Offset", slug="bad-offset")
        receiving = context.site.uploads.receive(upload.id, int(offset))
        receiver = await run_in_threadpool(receiving.__enter__)
        try:
            block = bytearray()
            try:
                async for chunk in request.stream():
                    block += chunk
                    if len(block) >= _BLOCK:
                        await run_in_threadpool(receiver.write, bytes(block))
                        block.clear()
            finally:
                if block:
                    await run_in_threadpool(receiver.write, bytes(block))
        finally:
            await run_in_threadpool(receiving.__exit__, None, None, None)
        return answered(await run_in_threadpool(context.site.uploads.status, upload.id))
    except ClientDisconnect:
        return problem(RefusedError("the connection broke", slug="cut-off"))
    except KautopsyError as error:
        return problem(error)


OPERATIONS = (
    Operation(
        "POST", "/reports", "Send a small report; the answer says whether the dump is wanted.",
        Intake, _report, role=Role.HOST, body=Small,
        parameters=(Parameter("host", "that it is of, where the token is not a host's"),),
    ),
    Operation(
        "POST", "/uploads", "Announce a file, or find out where it stands.", Upload, _begin,
        role=Role.HOST, body=Announced, status=201,
    ),
    Operation(
        "GET", "/uploads/{upload}", "Where an upload stands.", Upload, _upload, role=Role.HOST
    ),
    Operation(
        "POST", "/uploads/{upload}/finish", "All has arrived: check it, take it.", Upload, _finish,
        role=Role.HOST,
    ),
)  # fmt: skip

RECEIVE = Route(PREFIX + "/uploads/{upload}", receive, methods=["PATCH"])
