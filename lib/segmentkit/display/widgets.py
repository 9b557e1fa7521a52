"""Interactive pieces, shown in an analyst's own Lab only; a static picture always stands beside them."""

from collections.abc import Callable
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure


def k_slider(draw: Callable[[int], Figure], k_min: int, k_max: int, k: int, *, interactive: bool) -> Any:
    """A slider for k whose picture follows; None when nobody is there to move it."""
    if not interactive:
        return None
    import ipywidgets
    from IPython.display import display

    def show(k: int) -> None:
        figure = draw(k)
        display(figure)
        plt.close(figure)

    slider = ipywidgets.IntSlider(value=k, min=k_min, max=k_max, description="segments", continuous_update=False)
    return ipywidgets.interactive(show, k=slider)
