"""Pictures of functions, meshes, comparisons and learning curves, with matplotlib."""

from funcspace.functions.plots.plot_comparison import plot_comparison
from funcspace.functions.plots.plot_function import plot
from funcspace.functions.plots.plot_history import plot_history
from funcspace.functions.plots.plot_mesh import plot_mesh

__all__ = ["plot", "plot_comparison", "plot_history", "plot_mesh"]
