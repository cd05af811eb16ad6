"""The public ops again, short and vectorised: the oracle of the tests and the eager baseline.

Matching and sampling in numpy; energy and moments in torch, where autograd gives the gradients.
"""

from polyad.reference import hypernet

__all__ = ["hypernet"]
