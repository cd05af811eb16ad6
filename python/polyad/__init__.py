"""polyad: native kernels and whole models that ordinary tensor libraries run badly.

`polyad.ops` holds the kernels, for numpy and torch alike; `polyad.models` whole models on top of
them; the command line is ``polyad``. ``polyad.show_config()`` says what this installation can do.
"""

from polyad import ops
from polyad._backend import config, get_num_threads, set_num_threads, show_config
from polyad._bit_planes import BitPlanes
from polyad._hyperedges import Hyperedges, HyperedgesPlan, from_incidence, to_incidence
from polyad._register import register_if_torch_is_imported
from polyad._sentences import Sentences, Vocabulary
from polyad._version import __version__

__all__ = [
    "BitPlanes",
    "Hyperedges",
    "HyperedgesPlan",
    "Sentences",
    "Vocabulary",
    "__version__",
    "config",
    "from_incidence",
    "get_num_threads",
    "ops",
    "set_num_threads",
    "show_config",
    "to_incidence",
]

register_if_torch_is_imported()
