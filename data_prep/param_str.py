"""What a data layer's ``param_str`` says: a dictionary written as a Python literal, never run as code."""

import ast
from collections.abc import Mapping
from typing import Any

from caffe_compat.errors import DataError

__all__ = ["mean_bgr", "parse_params"]


def parse_params(text: str, layer: str, required: Mapping[str, str], optional: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a data layer.

    Args:
        text: ``param_str``, such as ``{'voc_dir': '../data/pascal/VOC2011', 'split': 'val', 'mean': (104, 117, 123)}``.
        layer: the layer's class name, for messages.
        required: the keys that must be there, each with the kind of its value: text, texts, number, integer, flag or
            numbers.
        optional: the keys that may be there; None is allowed as their value.

    Raises:
        DataError: the text is not a literal dictionary; a key is missing, unknown, or holds another kind of value.
    """
    try:
        params = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise DataError(
            f"{layer}: param_str {_shown(text)} is not a Python literal ({getattr(error, 'msg', error)}); "
            "it is never run as code: write plain values, such as {'split': 'val', 'seed': 1337}"
        ) from None
    if not isinstance(params, dict):
        raise DataError(f"{layer}: param_str {_shown(text)} is a {type(params).__name__}; wanted a dictionary {{...}}")
    known = {**required, **optional}
    unknown = [key for key in params if key not in known]
    if unknown:
        raise DataError(f"{layer}: param_str has no key {unknown[0]!r}; the known keys: {', '.join(known)}")
    missing = [key for key in required if key not in params]
    if missing:
        raise DataError(
            f"{layer}: param_str lacks {', '.join(map(repr, missing))}; it holds {', '.join(params) or 'nothing'}; "
            f"needed: {', '.join(required)}; possible: {', '.join(optional)}"
        )
    for key, value in params.items():
        if not (_is_kind(value, known[key]) or (value is None and key in optional)):
            raise DataError(f"{layer}: param_str's {key!r} is {value!r}; wanted {known[key]}")
    return params


def mean_bgr(values: Any, layer: str) -> tuple[float, float, float]:
    """The ``mean`` parameter: one number per channel, blue first.

    Raises:
        DataError: there are not three.
    """
    if len(values) != 3:
        raise DataError(f"{layer}: param_str's 'mean' has {len(values)} values; wanted three: blue, green, red")
    return float(values[0]), float(values[1]), float(values[2])


def _is_kind(value: Any, kind: str) -> bool:
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "text":
        return isinstance(value, str)
    if kind == "texts":
        return isinstance(value, tuple | list) and all(isinstance(one, str) for one in value)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "numbers":
        return isinstance(value, tuple | list) and all(_is_kind(one, "number") for one in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:117]}...")
