"""The images that a space's networks read: said by its `input`, by its data set, or by both, which have to agree."""

from __future__ import annotations

from collections.abc import Callable

from cspnas.data.image_settings import ImageSettings
from cspnas.data.known_sets import KNOWN_SETS
from cspnas.data.own_data import is_own, unknown
from cspnas.documents.schema import InputDocument, SpaceDocument
from cspnas.errors import InputError, SmallMapError
from cspnas.network.architecture import Architecture
from cspnas.network.wiring import enlarged
from cspnas.training.recipe import Recipe

# Input shape (C, H, W), classes.
InputForm = tuple[tuple[int, int, int], int]
FolderForm = Callable[[str, ImageSettings], InputForm]
# No image is so narrow, and no key of ours counts channels last.
NARROWEST = 4


def input_form(
    document: SpaceDocument,
    at: Callable[..., str],
    folder_form: FolderForm | None,
    *,
    training: bool,
    names_data: bool,
) -> InputForm:
    """(input shape, classes) of a space. The user's own data are opened where nothing else says it, and where networks
    are to be trained. `names_data`: whether the data set is named, and not the default.

    `at` gives the place of a key. Raises InputError where `input` and the data differ, and where `training` has no data.
    """
    dataset = document.proxy.dataset
    if document.input is None:
        # `input:` with nothing behind it is a slip, not a space without the key.
        if "input" in document.model_fields_set:
            raise InputError("nothing", expected="the keys shape and classes", where=at("input"))
        return _form_of_data(document.proxy, at, folder_form)
    form = _stated(document.input, at)
    if not names_data:
        if training:
            raise _no_data(form, at)
    elif training or not is_own(dataset):
        _check_agrees(form, _form_of_data(document.proxy, at, folder_form), dataset, at)
    return form


def format_shape(shape: tuple[int, ...]) -> str:
    """`3 x 224 x 224`."""
    return " x ".join(map(str, shape))


def image_size_key(document: SpaceDocument) -> tuple[str, ...]:
    """The key that says how large the images are; empty where they are a data set that is not the user's."""
    if document.input is not None:
        return "input", "shape"
    if is_own(document.proxy.dataset):
        return "proxy", "dataset" if document.proxy.image_size is None else "image_size"
    return ()


def small_images(architecture: Architecture, error: SmallMapError, place: str) -> InputError:
    """`error` of images that are too small, with the least size that is not; `place` of the key that says their size."""
    larger, part = enlarged(architecture), error.where.split(".")[0]
    if larger is None:
        return error
    now, least = (format_shape(one.input_shape[1:]) for one in (architecture, larger))
    hint = f"in {part} they leave {error.found}; or use fewer poolings or strides"
    return InputError(f"images of {now}", expected=f"at least {least}", where=place, hint=hint)


def _stated(document: InputDocument, at: Callable[..., str]) -> InputForm:
    channels, height, width = document.shape
    if width <= NARROWEST < min(channels, height):
        raise InputError(
            f"{format_shape((channels, height, width))}, {width} pixels wide",
            expected="channels, height, width",
            where=at("input", "shape"),
            hint=f"channels first: [{width}, {channels}, {height}]",
        )
    return (channels, height, width), document.classes


def _form_of_data(recipe: Recipe, at: Callable[..., str], folder_form: FolderForm | None) -> InputForm:
    name = recipe.dataset
    if name in KNOWN_SETS:
        return KNOWN_SETS[name].shape, KNOWN_SETS[name].classes
    if is_own(name) and folder_form is not None:
        return folder_form(name, recipe.images)
    raise unknown(name, KNOWN_SETS, at("proxy", "dataset"))


def _check_agrees(stated: InputForm, data: InputForm, dataset: str, at: Callable[..., str]) -> None:
    holder = f"as data set {dataset} has ({at('proxy', 'dataset')})"
    if stated[0] != data[0]:
        raise InputError(
            format_shape(stated[0]),
            expected=f"{format_shape(data[0])}, {holder}",
            where=at("input", "shape"),
            hint="correct it, or name data of that shape (--dataset folder:PATH)",
        )
    if stated[1] != data[1]:
        raise InputError(
            f"{stated[1]} classes",
            expected=f"{data[1]}, {holder}",
            where=at("input", "classes"),
            hint="correct it, or name data of so many classes (--dataset folder:PATH)",
        )


def _no_data(form: InputForm, at: Callable[..., str]) -> InputError:
    fitting = [name for name, known in KNOWN_SETS.items() if (known.shape, known.classes) == form]
    return InputError(
        "input and no data set",
        expected=f"data of {format_shape(form[0])} in {form[1]} classes to train on",
        where=at("input"),
        hint=f"name them: --dataset {' or '.join([*fitting, 'folder:PATH'])}",
    )
