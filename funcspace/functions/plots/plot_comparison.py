"""A prediction beside the truth, with what it was predicted from and where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from funcspace.errors import DomainError, InputError
from funcspace.functions.function import Function
from funcspace.functions.plots.plot_axes import Style, closing_on_error, colour_scale, pyplot, row_size
from funcspace.functions.plots.plot_quantity import Quantity, quantities

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_comparison"]

TITLES = ("coefficient", "truth", "prediction", "error")


@closing_on_error()
def plot_comparison(
    coefficient: Function,
    truth: Function,
    prediction: Function,
    *,
    index: int | Sequence[int] = 0,
    component: str | int | None = None,
    titles: Sequence[str] = TITLES,
    mesh: bool = False,
) -> Figure:
    """Four panels: coefficient, truth, prediction, and error = prediction - truth.

    Truth and prediction share one colour scale; the error has its own, about zero. The title of the error gives
    its L2 norm relative to that of the truth.

    Parameters
    ----------
    coefficient, truth, prediction : functions on domains of the same dimension, 1 to 3. A prediction in another
        space is first interpolated into that of the truth.
    index : which function of each batch.
    component : of truth and prediction; their magnitude, or only component, when None.
    titles : of the four panels.
    mesh : draw the cells too.

    Returns
    -------
    A new matplotlib figure.

    Raises
    ------
    InputError
        When an argument is no Function, or an index or component does not exist.
    DomainError
        When truth and prediction have values of different shapes.
    """
    for name, function in (("coefficient", coefficient), ("truth", truth), ("prediction", prediction)):
        if not isinstance(function, Function):
            raise InputError(f"{name} must be a Function, got {type(function).__name__}")
    if len(titles) != 4:
        raise InputError(f"titles must name four panels, got {len(titles)}")
    if truth.space.value_shape != prediction.space.value_shape:
        raise DomainError(
            f"truth and prediction must have values of one shape, got {truth.space.value_shape} and "
            f"{prediction.space.value_shape}"
        )
    dim = truth.domain.dim
    if coefficient.domain.dim != dim or not 1 <= dim <= 3:
        raise InputError(
            f"coefficient and truth must live in one dimension, 1 to 3; got {coefficient.domain.dim}, {dim}"
        )
    known = quantities(truth, index, component, "real")[0]
    told = quantities(prediction, index, component, "real")[0]
    single = told.function
    if single.space.fingerprint != known.function.space.fingerprint:
        single = single.to(known.function.space, outside="nearest")
        told = told.of(single)
    error = _error(known, single)
    given = quantities(coefficient, index, None, "real")[0]
    if len(given.components) > 1 and not given.is_vector:
        given = given.picked(0)
    size = float(error.function.norm("L2") / known.function.norm("L2").clamp_min(1e-300))
    heads = [*titles[:3], f"{titles[3]} ({100 * size:.2g} % in $L^2$)"]
    return _draw([given, known, told, error], heads, mesh)


def _error(known: Quantity, prediction: Function) -> Quantity:
    difference = prediction.with_coefficients(
        prediction.coefficients - known.function.coefficients.to(prediction.coefficients)
    )
    return known.of(difference.renamed(f"error of {known.function.name}"))


def _draw(chosen: list[Quantity], titles: list[str], mesh: bool) -> Figure:
    plt = pyplot()
    domain = chosen[1].function.domain
    if domain.dim == 1:
        from funcspace.functions.plots.plot_lines import draw_curves

        figure, axes = plt.subplots(1, 4, figsize=(13.0, 3.0), layout="constrained")
        for ax, quantity, title in zip(axes, chosen, titles, strict=True):
            draw_curves(ax, [quantity], Style(mesh=mesh))
            ax.set_title(title)
        limits = [limit for ax in axes[1:3] for limit in ax.get_ylim()]
        for ax in axes[1:3]:
            ax.set_ylim(min(limits), max(limits))
        return figure
    from funcspace.functions.plots.plot_function import draw_quantity

    solid = domain.dim == 3
    figure, axes = plt.subplots(
        1,
        4,
        figsize=row_size(domain, 4, panel=2.4, beside=0.9, solid=solid),
        layout="compressed",
        subplot_kw={"projection": "3d"} if solid else {},
    )
    shared = _shared_style(chosen[1], chosen[2], mesh)
    error_style = Style(symmetric=None if chosen[3].is_vector else True, mesh=mesh)
    styles = [Style(mesh=mesh), shared, shared, error_style]
    for number, (ax, quantity, style, title) in enumerate(zip(axes, chosen, styles, titles, strict=True)):
        draw_quantity(ax, quantity, style)
        ax.set_title(title)
        if number and not solid:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
    return figure


def _shared_style(truth: Quantity, prediction: Quantity, mesh: bool) -> Style:
    """One colour scale for both, from the values at their dofs or quadrature points."""
    values = np.concatenate([truth.samples(), prediction.samples()])
    cmap, low, high = colour_scale(values, Style())
    return Style(mesh=mesh).fixed(low, high, cmap)
