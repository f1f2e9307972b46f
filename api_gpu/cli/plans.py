"""Plans: requests in JSON files, as the JSON surface takes them, which may name local files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from api_gpu.requests import RequestInput


def read_plan(path: Path, request: Descriptor, name: str) -> dict[str, Any]:
    """Return the values of a plan by their names in Python: the request alone, or what `POST /jobs` takes, with the
    request under its `name`.

    Raises BadParameter for what is no such request, by its first field, which it must have, or by one that it has not.
    """
    from api_gpu.requests import client_name

    first = request.fields[0].name
    known = {each: client_name(field) for field in request.fields for each in (field.name, field.json_name)}
    known |= {each: each for each in known.values()}
    try:
        plan = json.loads(path.read_bytes())
        plan = plan.get(name, plan)
        unknown = [each for each in plan if each not in known]
    except (OSError, ValueError, AttributeError) as error:
        raise typer.BadParameter(f'{path} must hold {{"{first}": […]}}, in JSON: {error}', param_hint="PLAN") from error
    if unknown or first not in plan:
        text = f"{path} must have {first}, and may have {', '.join(field.name for field in request.fields[1:])}"
        raise typer.BadParameter(f"{text}{'; it has ' + unknown[0] if unknown else ''}", param_hint="PLAN")
    return {known[each]: value for each, value in plan.items()}


def beside(plan: Path, inputs: Iterable[RequestInput]) -> list[RequestInput]:
    """Return the inputs of a plan, local files by their places: relative to the folder of the plan, or, where there is
    none but there, to the current one."""
    from api_gpu.requests import local_file

    found = []
    for each in inputs:
        file = local_file(each.source)
        if file is not None and ((plan.parent / file).exists() or not file.exists()):
            found.append(replace(each, source=plan.parent / file))
        else:
            found.append(each)
    return found


def check_inputs(inputs: Iterable[RequestInput]) -> None:
    """Raise one ServiceError for all local files that cannot be read, each by its field."""
    from api_gpu.assets import check_readable
    from servicekit.errors import ServiceError
    from servicekit.faults import Faults

    faults = Faults()
    for each in inputs:
        try:
            check_readable([each.source])
        except ServiceError as error:
            text = f"{each.path}: {error.message}"
            faults.add(type(error)(text, reason=error.reason, fields={each.path: error.message}))
    faults.check()
