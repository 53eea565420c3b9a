"""The shared data abstraction: function spaces, functions, the linear maps between them, and data sets of them."""

from funcspace.functions.basis import Quadrature
from funcspace.functions.files.data_writer import DataWriter
from funcspace.functions.function import Function
from funcspace.functions.lazy import LazyFunction
from funcspace.functions.maps.linear_map import LinearMap
from funcspace.functions.normalisers import Normaliser
from funcspace.functions.operator_data import OperatorData
from funcspace.functions.ragged import RaggedFunction
from funcspace.functions.space import FunctionSpace

__all__ = [
    "DataWriter",
    "Function",
    "FunctionSpace",
    "LazyFunction",
    "LinearMap",
    "Normaliser",
    "OperatorData",
    "Quadrature",
    "RaggedFunction",
]
