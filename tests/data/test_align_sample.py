"""The Korean-English sample is whole, and aligning it is a real task."""

from collections import Counter

from polyad.align import Aligner
from polyad.data.align_sample import FOLDER, korean_readme


def test_gold_beads_cover_every_sentence_once_and_in_order():
    document, gold = korean_readme()
    assert [i for bead in gold for i in bead.source] == list(range(len(document.source)))
    assert [j for bead in gold for j in bead.target] == list(range(len(document.target)))
    assert 60 <= len(document.source) <= 100
    assert len(document.translations) == 1


def test_it_has_merges_splits_and_omissions_on_both_sides():
    kinds = Counter((len(bead.source), len(bead.target)) for bead in korean_readme().gold)
    assert kinds[1, 1] > 40
    for kind in ((2, 1), (1, 2), (1, 0), (0, 1), (0, 2)):
        assert kinds[kind] > 0, kind


def test_texts_are_what_they_claim_to_be():
    document, _ = korean_readme()

    def korean(text):
        return any("가" <= letter <= "힣" for letter in text)

    assert sum(map(korean, document.source)) >= len(document.source) - 1
    assert not any(map(korean, document.target))
    assert not any(map(korean, document.translations[0]))
    for text in (*document.source, *document.target, *document.translations[0]):
        assert text == text.strip() != ""
    # A rough translation: word for word it is hardly ever the target's sentence.
    assert len(set(document.translations[0]) & set(document.target)) < 10
    assert {path.name for path in FOLDER.iterdir()} >= {
        "readme.ko",
        "readme.en",
        "readme.mt.en",
        "readme.beads",
    }


def test_an_aligner_finds_much_of_it_but_not_all():
    document, gold = korean_readme()
    found = {(bead.source, bead.target) for bead in Aligner().align(document).beads}
    wanted = {(bead.source, bead.target) for bead in gold if bead.source and bead.target}
    assert 0.4 < len(found & wanted) / len(wanted) < 1
