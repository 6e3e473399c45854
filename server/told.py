"""What others send, as the model that it is to be."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from server.errors import RefusedError

Told = TypeVar("Told", bound=BaseModel)


def told_in(model: type[Told], body: bytes) -> Told:
    """Return a body of JSON as its model.

    Raises
    ------
    RefusedError
        400 ``malformed_request``, with what is wrong first.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise malformed(error, "body") from error


def malformed(error: ValidationError, whole: str) -> RefusedError:
    """Return the refusal of what was sent; `whole` is what it is called where no part of it is to blame."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return RefusedError(400, "malformed_request", f"{where or whole}: {first['msg']}.")
