"""The fleet's page: which instruments there are, how they fare, and which of them somebody should look at."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import TheCollector, ThePerson
from server.fleet import SORTS, STATUSES, Filter, page_of
from server.web.render import render

PAGE = 50
FEW = 12
"""So many instruments and fewer stand on cards; more in a table."""

router = APIRouter(include_in_schema=False)

Short = Annotated[str, Query(max_length=200)]


@router.get("/")
def fleet(
    request: Request,
    collector: TheCollector,
    person: ThePerson,
    q: Short = "",
    site: Short = "",
    group: Short = "",
    model: Short = "",
    status: Short = "",
    sort: Short = "trouble",
    after: Short = "",
) -> Response:
    """Show instruments, those in trouble first."""
    wanted = Filter(q.strip(), site, group, model, status if status in STATUSES else "")
    sort = sort if sort in SORTS else "trouble"
    with collector.store.reading() as reads:
        page = page_of(reads, wanted, collector.now(), collector.silent_after, sort, after or None, PAGE)
        n_quarantined = reads.n_quarantined()
    given = {"q": q, "site": site, "group": group, "model": model, "status": wanted.status, "sort": sort}

    def link(**different: str) -> str:
        told = {name: value for name, value in {**given, **different}.items() if value}
        if told.get("sort") == "trouble":
            del told["sort"]
        return f"/?{urlencode(told)}" if told else "/"

    return render(
        request,
        "fleet.html",
        person,
        page=page,
        wanted=wanted,
        sort=sort,
        sorts=SORTS,
        link=link,
        is_first=not after,
        is_filtered=wanted != Filter(),
        has_cards=page.n_all <= FEW,
        n_quarantined=n_quarantined,
    )
