"""The reading side of the API.

Answers are written as JSON directly: the models of ``schemas`` describe them in the OpenAPI
document and are tested against them, but are not built for each row of each answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse

from tokenbeat.control_plane.keys.access import Reader, require_read
from tokenbeat.control_plane.plane import Plane, plane_of
from tokenbeat.control_plane.problems import problems
from tokenbeat.control_plane.report.dimensions import DIMENSIONS, read_by
from tokenbeat.control_plane.report.period import BucketSize, read_period, read_series_period
from tokenbeat.control_plane.report.repository import ReportRepository
from tokenbeat.control_plane.report.runs import RunService
from tokenbeat.control_plane.report.schemas import (
    Agent,
    AgentSpecUsage,
    RunList,
    RunReport,
    SeriesReport,
    UsageReport,
)
from tokenbeat.control_plane.report.service import Page, ReportService, agentspec_window

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_ROWS: Final = 5_000

router = APIRouter(prefix="/api/v1", tags=["report"])

_NAMES: Final = "|".join(DIMENSIONS)
_TIME: Final = {
    "format": "date-time",
    "pattern": "^(19[7-9][1-9]|20[0-9]{2}|21[0-8][0-9])-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?Z$",
}
"""Times that are surely taken; other spellings of ISO 8601 with an offset are, too."""

By = Annotated[
    str | None,
    Query(
        description="Dimensions, separated by commas: service, agent, model, requestModel, "
        "responseModel, provider, operation, caller, callerType, incarnation, run.",
        examples=["model,caller"],
        max_length=200,
        json_schema_extra={"pattern": f"^({_NAMES})(,({_NAMES}))*$"},
    ),
]
From = Annotated[
    str | None,
    Query(
        alias="from",
        description="ISO 8601 with an offset; taken down to its minute.",
        json_schema_extra=_TIME,
    ),
]
To = Annotated[str | None, Query(description="ISO 8601 with an offset; taken up to a full minute.")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows at most.")]
Offset = Annotated[int, Query(ge=0, le=10_000_000, description="Rows to leave out before.")]
ServiceName = Annotated[str | None, Query(max_length=63, description="One service only.")]
_REFUSALS: Final = problems(401, 403, 422)


class _Reading:
    """One request's snapshot of the tables."""

    def __init__(self, repository: ReportRepository, plane: Plane) -> None:
        now = plane.now()
        self.now = now
        self.reports = ReportService(repository, now=now)
        self.runs = RunService(repository, now=now)


async def _open_reading(
    reader: Annotated[Reader, Depends(require_read)],
    plane: Annotated[Plane, Depends(plane_of)],
) -> AsyncIterator[_Reading]:
    async with plane.database.read() as session:
        yield _Reading(ReportRepository(session, tenant=reader.tenant), plane)


Reading = Annotated[_Reading, Depends(_open_reading)]


@router.get("/agents", response_model=list[Agent], responses=_REFUSALS)
async def agents(
    reading: Reading,
    *,
    start: From = None,
    to: To = None,
    limit: Limit = 1_000,
    offset: Offset = 0,
) -> JSONResponse:
    """Services by name, as AgentSpec lists its agents, and what each spent."""
    period = read_period(start=start, end=to)
    page = Page(limit=limit, offset=offset)
    return JSONResponse(await reading.reports.agents(page=page, period=period))


@router.get(
    "/agents/{name}/usage",
    response_model=AgentSpecUsage | UsageReport,
    responses=problems(401, 403, 404, 422),
)
async def agent_usage(  # noqa: PLR0913 query parameters
    name: Annotated[str, Path(max_length=255)],
    reading: Reading,
    *,
    by: By = None,
    start: From = None,
    to: To = None,
    limit: Limit = 500,
    offset: Offset = 0,
) -> JSONResponse:
    """Without parameters the latest window in AgentSpec's shape; with any of them a report."""
    service = await reading.reports.known(name)
    period = read_period(start=start, end=to)
    if by is None and not period.bounded:
        return JSONResponse(agentspec_window(service))
    report: dict[str, Any] = await reading.reports.usage(
        read_by("model" if by is None else by),
        page=Page(limit=limit, offset=offset),
        period=period,
        service=service.service,
    )
    return JSONResponse(report)


@router.get("/usage", response_model=UsageReport, responses=_REFUSALS)
async def usage(  # noqa: PLR0913 query parameters
    reading: Reading,
    *,
    by: By = "service",
    start: From = None,
    to: To = None,
    limit: Limit = 500,
    offset: Offset = 0,
) -> JSONResponse:
    """What the fleet spent, split by the dimensions, the greatest rows first."""
    report = await reading.reports.usage(
        read_by("service" if by is None else by),
        page=Page(limit=limit, offset=offset),
        period=read_period(start=start, end=to),
    )
    return JSONResponse(report)


@router.get("/usage/series", response_model=SeriesReport, responses=problems(401, 403, 404, 422))
async def series(  # noqa: PLR0913 query parameters
    reading: Reading,
    *,
    bucket: Annotated[BucketSize, Query(description="Hours and days are UTC's.")] = "minute",
    by: By = "model",
    start: From = None,
    to: To = None,
    service: ServiceName = None,
) -> JSONResponse:
    """What was spent in each bucket. Without ``from`` the last 60 minutes, 48 hours or 30 days."""
    period = read_series_period(size=bucket, start=start, end=to, now=reading.now)
    if service is not None:
        await reading.reports.known(service)
    report = await reading.reports.series(
        read_by("model" if by is None else by), size=bucket, period=period, service=service
    )
    return JSONResponse(report)


@router.get("/runs", response_model=RunList, responses=problems(401, 403, 404, 422))
async def runs(
    reading: Reading,
    *,
    service: ServiceName = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Offset = 0,
) -> JSONResponse:
    """Runs with their totals, the latest started first."""
    if service is not None:
        await reading.reports.known(service)
    return JSONResponse(
        await reading.runs.runs(page=Page(limit=limit, offset=offset), service=service)
    )


@router.get("/runs/{run:path}", response_model=RunReport, responses=problems(401, 403, 404))
async def run(run: Annotated[str, Path(max_length=1_024)], reading: Reading) -> JSONResponse:
    """One run: parts and processes added up, split by caller (with instances) and model."""
    return JSONResponse(await reading.runs.run(run))
