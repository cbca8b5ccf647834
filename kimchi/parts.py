"""The name in a recipe is a file's name: `captioner: label` is kimchi/pipelines/captioners/label.py, class Captioner."""

import importlib
import pkgutil

from kimchi.errors import RecipeError


def names(family: str) -> list[str]:
    """What is nameable: the modules in a family's package. The listing of the folder is the register."""
    package = importlib.import_module(family)
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def find(family: str, class_name: str, name: str) -> type:
    """The class behind a recipe's name: a file of the family's folder, or "package.module:Class" of one's own.

    Args:
        family: the package whose files are the shipped parts: "kimchi.pipelines.captioners".
        class_name: the class each of those files holds: "Captioner".
        name: what the recipe says.

    Raises:
        RecipeError: no such part; the message lists what there is.
    """
    if ":" in name:
        module_name, _, class_name = name.partition(":")
    elif name in names(family):
        module_name = f"{family}.{name}"
    else:
        raise RecipeError(
            f"{family.rsplit('.', 1)[-1]}: {name!r} is not one of {', '.join(names(family))}. Use one of these, or package.module:Class of your own."
        )
    found = getattr(_import(name, module_name), class_name, None)
    if not isinstance(found, type):
        raise RecipeError(f"{name!r}: {module_name} holds no class {class_name!r}. Write package.module:Class with a class of that module.")
    return found


def _import(name: str, module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except (ModuleNotFoundError, TypeError, ValueError) as error:
        # A part that is there but misses a library of its own is another fault, and its traceback says which.
        if isinstance(error, ModuleNotFoundError) and error.name and not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise RecipeError(f"{name!r}: Python finds no module {module_name!r}. Install it beside kimchi, or put its folder on PYTHONPATH.") from error
