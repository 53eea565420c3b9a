"""Invariants of dynamics: exponents, dimensions, entropies and spectra, from data and from models."""

from funcspace.dynamics.invariants.autocorrelation import autocorrelation, decorrelation_time
from funcspace.dynamics.invariants.correlation_dimension import CorrelationSum, correlation_dimension, correlation_sum
from funcspace.dynamics.invariants.delay_embedding import delay_embedding, embedding_lag
from funcspace.dynamics.invariants.entropies import multiscale_entropy, permutation_entropy, sample_entropy
from funcspace.dynamics.invariants.kaplan_yorke import kaplan_yorke_dimension
from funcspace.dynamics.invariants.largest_exponent import rosenstein_exponent, wolf_exponent
from funcspace.dynamics.invariants.lyapunov_spectrum import lyapunov_spectrum, lyapunov_spectrum_of_products
from funcspace.dynamics.invariants.mutual_information import delayed_mutual_information, mutual_information
from funcspace.dynamics.invariants.power_spectrum import PowerSpectrum, power_spectrum
from funcspace.dynamics.invariants.return_map import ReturnMap, return_map
from funcspace.dynamics.invariants.zero_one_test import zero_one_test

__all__ = [
    "CorrelationSum",
    "PowerSpectrum",
    "ReturnMap",
    "autocorrelation",
    "correlation_dimension",
    "correlation_sum",
    "decorrelation_time",
    "delay_embedding",
    "delayed_mutual_information",
    "embedding_lag",
    "kaplan_yorke_dimension",
    "lyapunov_spectrum",
    "lyapunov_spectrum_of_products",
    "multiscale_entropy",
    "mutual_information",
    "permutation_entropy",
    "power_spectrum",
    "return_map",
    "rosenstein_exponent",
    "sample_entropy",
    "wolf_exponent",
    "zero_one_test",
]
