"""Fixtures of the small problem."""

import pytest

import funcspace as fs
from tests.training.small_problem import make_data


@pytest.fixture
def data() -> fs.OperatorData:
    return make_data()
