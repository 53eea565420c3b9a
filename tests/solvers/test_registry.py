"""Problems by name."""

import importlib.util
import inspect

import pytest

import funcspace as fs
from funcspace.solvers.registry import PROBLEMS, problem, problem_class, problems


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_name_leads_to_a_class_that_samples(name):
    assert importlib.util.find_spec(PROBLEMS[name].partition(":")[0]) is not None
    kind = problem_class(name)
    parameters = inspect.signature(kind.sample).parameters
    assert [*parameters][1:3] == ["n", "seed"] and parameters["first"].kind is inspect.Parameter.KEYWORD_ONLY
    assert len(problems()[name]) > 10


def test_a_problem_by_name_is_the_problem():
    assert repr(problem("Darcy", resolution=9)) == repr(fs.solvers.Darcy(resolution=9))
    made = problem("darcy", resolution=9).sample(1, seed=3).outputs["u"].coefficients
    assert made.equal(fs.solvers.Darcy(resolution=9).sample(1, seed=3).outputs["u"].coefficients)


def test_misspelt_names_get_suggestions():
    with pytest.raises(fs.InputError, match=r"no problem 'darcey' \(did you mean 'darcy'\?\); there is"):
        problem("darcey")
    with pytest.raises(fs.InputError, match=r"no option 'resolutoin' \(did you mean 'resolution'\?\)"):
        problem("darcy", resolutoin=9)
    with pytest.raises(fs.InputError, match="no problem 'xyz'; there is"):
        problem("xyz")
