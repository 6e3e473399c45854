"""Java objects as the bridge shows them: a class name, interfaces, and the methods that may be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class JavaException(Exception):
    """What the bridge answers with type exception."""

    def __init__(self, words: str, java_class: str = "java.lang.Exception", trace: str = "") -> None:
        super().__init__(words)
        self.first_line = f"{java_class}: {words}" if words else java_class
        self.trace = trace


class Json(dict):  # a JSONObject, sent as text
    pass


@dataclass(eq=False)
class Java:
    """One Java object.

    Attributes
    ----------
    java_class : str
    methods : mapping
        Name to a function of the arguments.
    supers : tuple of str
        Superclasses and interfaces, as a reply lists them behind the class itself.
    fields : mapping
        Public fields.
    value : object
        What it stands for in Python.
    """

    java_class: str
    methods: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    supers: tuple[str, ...] = ("java.lang.Object",)
    fields: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None


@dataclass(eq=False)
class JavaClass:
    """A class, for its static methods."""

    name: str
    methods: Mapping[str, Callable[..., Any]]


VECTOR_SUPERS = (
    *("java.util.RandomAccess", "java.util.AbstractList", "java.util.List", "java.util.Collection"),
    *("java.lang.Iterable", "java.util.AbstractCollection", "java.util.Collection", "java.lang.Iterable"),
    "java.lang.Object",
)


def vector(items: Any, java_class: str = "mmcorej.StrVector") -> Java:
    """Return a vector of texts or numbers."""
    items = list(items)

    def get(index: int) -> Any:
        if not 0 <= index < len(items):
            raise JavaException("vector index out of range", "java.lang.IndexOutOfBoundsException")
        return items[index]

    methods = {
        "size": lambda: len(items),
        "get": get,
        "toString": lambda: "[" + ", ".join(map(str, items)) + "]",
        "toArray": lambda: Java("[Ljava.lang.String;", supers=("java.lang.Object",)),
    }
    return Java(java_class, methods, VECTOR_SUPERS, value=items)


LIST_SUPERS = (
    *("java.util.List", "java.util.Collection", "java.lang.Iterable", "java.util.RandomAccess"),
    *("java.lang.Cloneable", "java.io.Serializable", "java.util.AbstractList", "java.lang.Object"),
)


def array_list(items: Any) -> Java:
    """Return a java.util.ArrayList."""
    items = list(items)
    return Java("java.util.ArrayList", {"size": lambda: len(items), "get": items.__getitem__}, LIST_SUPERS)


def enum(java_class: str, name: str, number: int) -> Java:
    """Return a SWIG enum."""
    return Java(java_class, {"swigValue": lambda: number, "toString": lambda: name}, value=number)
