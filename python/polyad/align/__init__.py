"""The sentence aligner: documents in, beads out.

>>> from polyad.align import Aligner, Document
>>> document = Document(["ein Wort"], ["one word"], translations=(["one word"],))
>>> [(bead.source, bead.target) for bead in Aligner().align(document).beads]
[((0,), (0,))]
"""

from polyad.align.aligner import Aligner
from polyad.align.documents import LABELS, Alignment, Bead, Document

__all__ = ["LABELS", "Aligner", "Alignment", "Bead", "Document"]
