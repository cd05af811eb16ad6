"""The mode accurate does not expect languages to look alike."""

import numpy as np

from polyad.align import Aligner, Document
from polyad.align.accurate import AccurateMode
from polyad.align.evaluate import evaluate
from polyad.data.align_sample import korean_readme


def strict_f1(document, gold, mode, **options):
    return evaluate([Aligner(mode, **options).align(document).beads], [gold]).strict.f1


def test_it_is_better_than_bleualign_on_korean_and_english():
    document, gold = korean_readme()
    accurate = strict_f1(document, gold, "accurate")
    assert accurate > 0.95
    assert accurate > strict_f1(document, gold, "bleualign")
    turned = Document(document.target, document.source, back_translations=document.translations)
    other_way = [bead._replace(source=bead.target, target=bead.source) for bead in gold]
    assert strict_f1(turned, other_way, "accurate") > 0.95


def romanised(text):
    """Hangul letter by letter in Latin ones: first, middle and last of each syllable."""
    firsts = "g,kk,n,d,tt,r,m,b,pp,s,ss,,j,jj,ch,k,t,p,h"
    middles = "a,ae,ya,yae,eo,e,yeo,ye,o,wa,wae,oe,yo,u,wo,we,wi,yu,eu,ui,i"
    lasts = ",k,k,k,n,n,n,t,l,k,m,l,l,l,l,l,m,p,p,t,t,ng,t,t,k,t,p,t"
    firsts, middles, lasts = (letters.split(",") for letters in (firsts, middles, lasts))
    syllables = []
    for letter in text:
        place = ord(letter) - ord("가")
        if 0 <= place < len(firsts) * len(middles) * len(lasts):
            place, last = divmod(place, len(lasts))
            first, middle = divmod(place, len(middles))
            letter = firsts[first] + middles[middle] + lasts[last]
        syllables.append(letter)
    return "".join(syllables)


def test_languages_of_one_script_are_not_expected_to_look_alike():
    assert romanised("한국어 text") == "hangukeo text"
    korean, gold = korean_readme()
    document = Document([romanised(s) for s in korean.source], korean.target, korean.translations)
    accurate = strict_f1(document, gold, "accurate")
    assert accurate > 0.95
    assert accurate >= strict_f1(document, gold, "bleualign")
    assert accurate > strict_f1(document, gold, "accurate", direct=True)


def test_rough_copies_of_a_language_are_compared_themselves():
    document, gold = korean_readme()
    english = Document(document.translations[0], document.target)
    assert AccurateMode().evidence(english).kind == "direct"
    assert strict_f1(english, gold, "accurate") > 0.8
    translated = Document(document.translations[0], document.target, document.translations)
    assert AccurateMode(direct=True).evidence(translated).kind == "both"
    assert strict_f1(translated, gold, "accurate", direct=True) > 0.8


def test_each_side_has_its_rule_of_words():
    source, target = ["ein altes Haus", "zwei Hunde im Hof"], ["an old house", "two dogs there"]
    spaced = Document(source, target, (target,), (source,))
    dashes = [text.replace(" ", "-") for text in source]
    dashed = Document(dashes, target, (target,), (dashes,))
    plain = AccurateMode(tokenize=str.split).evidence(spaced)
    apart = AccurateMode(tokenize=str.split, source_tokenize=lambda text: text.split("-"))
    for one, other in zip(plain.views, apart.evidence(dashed).views, strict=True):
        for mine, its in ((one.source, other.source), (one.target, other.target)):
            np.testing.assert_array_equal(mine.features, its.features)
            np.testing.assert_array_equal(mine.values, its.values)
