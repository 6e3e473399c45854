"""The API reference: our own page over our own schema, so that nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from server.dependencies import ThePerson, signed_in
from server.web.render import render

router = APIRouter(include_in_schema=False, dependencies=[Depends(signed_in)])


@router.get("/openapi.json")
def schema(request: Request) -> JSONResponse:
    """Return the OpenAPI description."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
def reference(request: Request, person: ThePerson) -> Response:
    """Show every operation with its parameters and answers."""
    described = request.app.openapi()
    return render(
        request,
        "reference.html",
        person,
        operations=_operations(described),
        models=described.get("components", {}).get("schemas", {}),
    )


def _operations(described: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "method": method.upper(),
            "path": path,
            "text": operation.get("description", "").replace("`", ""),
            "parameters": operation.get("parameters", []),
            "answer": _answer(operation),
        }
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def _answer(operation: dict[str, Any]) -> str:
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    reference = schema.get("$ref") or schema.get("items", {}).get("$ref", "")
    name = reference.rpartition("/")[2]
    return f"list of {name}" if "items" in schema else name
