"""Import references: `"package.module:attribute"` for objects, `"package.folder:file.yaml"` for files."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_core.types import Ref


def resolve(ref: Ref) -> Any:
    """The object a reference names, or `ref` itself when it is an object already.

    Raises:
        ImportError: The module does not exist, fails to import, or `ref` is not a reference.
        AttributeError: The module has no such attribute.
    """
    if not isinstance(ref, str):
        return ref
    module, attribute = split_reference(ref)
    return attrgetter(attribute)(import_module(module))


def read_resource(ref: str) -> str:
    """Text of a file that lies inside a package.

    Raises:
        ImportError: The package does not exist, or `ref` is not a reference.
        FileNotFoundError: The package has no such file.
    """
    from importlib import resources  # a tenth of the start-up of `fer-run --help`, which reads no file

    package, file = split_reference(ref)
    return resources.files(package).joinpath(file).read_text(encoding="utf-8")


def split_reference(ref: str) -> tuple[str, str]:
    """What stands before the colon of a reference, and behind it. Raises ImportError where it is not one."""
    module, _, name = ref.partition(":")
    if not module or not name:
        raise ImportError(f"{ref!r} is not an import reference: write it as package.module:name")
    return module, name
