"""What pydantic finds wrong, said in the words of whoever wrote the file, with the key's path and a hint."""

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from relay.config.names import NamedSettings
from relay.config.problems import Problem
from relay.settings import meanings


def problems_of(error: ValidationError, file: Path, model: type[BaseModel]) -> list[Problem]:
    """Say in an operator's words what is wrong with a file that was to become a `model`."""
    return [_problem(detail, file, model) for detail in error.errors(include_url=False, include_input=False)]


def key_path(parts: Sequence[str | int]) -> str:
    """Write where a key stands as TOML would name it: `upstreams.attentive.port`, `landing.listen[0]`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            bare = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            path += f".{bare}" if path else bare
    return path


def _problem(detail: ErrorDetails, file: Path, model: type[BaseModel]) -> Problem:
    at = detail["loc"]
    section = _section(model, at[:-1])
    if detail["type"] == "extra_forbidden":
        return Problem(file, key_path(at), "unknown key", _unknown_key_hint(str(at[-1]), section, model, at))
    context = detail.get("ctx", {})
    if detail["type"] == "relay":
        named = section is not None and issubclass(section, NamedSettings) and at[-1] == "name"
        return Problem(file, key_path(at[:-1] if named else at), context["message"], context["hint"])
    say = _SENTENCES.get(detail["type"])
    return Problem(file, key_path(at), say(context) if say else detail["msg"], _meaning(section, at[-1]))


def _meaning(section: type[BaseModel] | None, key: str | int) -> str:
    """Return what a key means, the first sentence of its entry in the reference."""
    meaning = meanings(section).get(str(key)) if section is not None else None
    if meaning is None:
        return ""
    return " ".join(meaning.split()).partition(". ")[0].removesuffix(".") + "."


def _section(model: type[BaseModel], at: Sequence[str | int]) -> type[BaseModel] | None:
    """Return the model of the section that stands at `at`, None where that is no section."""
    here: Any = model
    for part in at:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(part)].annotation if part in here.model_fields else None
        else:
            here = next(reversed(get_args(here)), None)
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _unknown_key_hint(
    key: str, section: type[BaseModel] | None, model: type[BaseModel], at: Sequence[str | int]
) -> str:
    known = [] if section is None else settable_keys(section)
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    if len(at) > 1 and key in settable_keys(model):
        return f"{key} belongs to the top of the file, above the first [section]."
    return f"Known here: {', '.join(known)}."


def settable_keys(section: type[BaseModel]) -> list[str]:
    """Return the keys that a section of the configuration may have."""
    given = {"name"} if issubclass(section, NamedSettings) else set()
    return [key for key in section.model_fields if key not in given]


def _quoted(expected: str) -> str:
    return expected.replace("'", '"')


def _bound(relation: str) -> Callable[[dict[str, Any]], str]:
    def say(context: dict[str, Any]) -> str:
        (bound,) = context.values()
        return f"it must be {relation} {bound:g}"

    return say


_SENTENCES: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "missing": lambda _: "it is missing",
    "string_type": lambda _: "it must be text in quotes",
    "path_type": lambda _: "it must be a file name in quotes",
    "int_type": lambda _: "it must be a whole number",
    "int_parsing": lambda _: "it must be a whole number",
    "int_from_float": lambda _: "it must be a whole number",
    "float_type": lambda _: "it must be a number",
    "float_parsing": lambda _: "it must be a number",
    "bool_type": lambda _: "it must be true or false",
    "bool_parsing": lambda _: "it must be true or false",
    "tuple_type": lambda _: 'it must be a list, such as ["…"]',
    "dict_type": lambda _: "it must be a section of its own: [section.NAME]",
    "model_type": lambda _: "it must be a section: [section]",
    "too_short": lambda _: "it must not be empty",
    "string_too_short": lambda _: "it must not be empty",
    "literal_error": lambda context: f"it must be {_quoted(context['expected'])}",
    "enum": lambda context: f"it must be {_quoted(context['expected'])}",
    "greater_than": _bound("more than"),
    "greater_than_equal": _bound("at least"),
    "less_than": _bound("less than"),
    "less_than_equal": _bound("at most"),
    "value_error": lambda context: str(context["error"]),
}
"""What to say for each kind of error that pydantic finds by itself; anything else is said in pydantic's own words."""
