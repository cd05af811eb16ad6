"""Every public name says what it does, and every example in it is true."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import polyad


def modules():
    for info in pkgutil.walk_packages(polyad.__path__, "polyad."):
        last = info.name.rsplit(".", 1)[1]
        if last not in ("_cpu", "_cuda", "__main__"):
            yield info.name


def load(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name and not error.name.startswith("polyad"):
            pytest.skip(f"needs {error.name}")
        raise


def public(module):
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.ismodule(value) or name.startswith("__"):
            continue
        yield f"{module.__name__}.{name}", value
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                member = getattr(member, "__func__", member)
                if not attribute.startswith("_") and (
                    inspect.isfunction(member) or isinstance(member, property)
                ):
                    yield f"{module.__name__}.{name}.{attribute}", getattr(value, attribute)


@pytest.mark.parametrize("name", ["polyad", *modules()])
def test_public_names_have_docstrings(name):
    module = load(name)
    assert inspect.getdoc(module), name
    silent = [
        qualified
        for qualified, value in public(module)
        if (inspect.isroutine(value) or inspect.isclass(value) or isinstance(value, property))
        and not inspect.getdoc(value)  # that of a base class serves as well
    ]
    assert silent == []


@pytest.mark.parametrize("name", ["polyad", *modules()])
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = load(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failures == 0


def test_some_examples_exist():
    found = doctest.DocTestFinder().find(polyad.ops.hypernet)
    assert sum(len(test.examples) for test in found) >= 3
