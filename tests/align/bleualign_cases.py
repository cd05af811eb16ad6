"""Documents that make Bleualign's search decide: ties, long gaps, joins, empty lines, repetition."""

from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    """A document and its translations, as lists of lines."""

    source: list[str]
    target: list[str]
    translations: list[list[str]]
    back_translations: list[list[str]]


# Some take part in the tokeniser's rules.
WORDS = [
    "aa",
    "bb",
    "cc",
    "dd",
    "ee",
    "the",
    "of",
    "3.5",
    "x-y",
    "4-2",
    "end.",
    "it's",
    "A,",
    "&amp;",
    "É",
    "...",
]


def sentence(random, words, longest):
    """A sentence of any length from 0, short ones more often."""
    length = int(random.integers(0, longest + 1) * random.random() + random.random())
    return " ".join(random.choice(words, length))


def noisy(random, text, words, noise):
    """The sentence with words replaced, dropped and put in."""
    out = []
    for word in text.split():
        chance = random.random()
        if chance < noise / 3:
            continue
        out.append(str(random.choice(words)) if chance < 2 * noise / 3 else word)
        if chance > 1 - noise / 3:
            out.append(str(random.choice(words)))
    return " ".join(out)


def counterpart(random, lines, words, noise, gap):
    """The lines with noise, merged, split, dropped, repeated, and a stretch of others in between."""
    out = []
    i = 0
    while i < len(lines):
        chance = random.random()
        if chance < 0.08 and i + 1 < len(lines):
            out.append(noisy(random, f"{lines[i]} {lines[i + 1]}", words, noise))
            i += 1
        elif chance < 0.16:
            parts = noisy(random, lines[i], words, noise).split()
            middle = int(random.integers(0, len(parts) + 1))
            out += [" ".join(parts[:middle]), " ".join(parts[middle:])]
        elif chance < 0.24:
            pass
        elif chance < 0.28:
            out += [lines[i], lines[i]]
        else:
            out.append(noisy(random, lines[i], words, noise))
        i += 1
    place = int(random.integers(0, len(out) + 1))
    out[place:place] = [sentence(random, words, 8) for _ in range(gap)]
    return out


def random_case(seed):
    """A document; the seed decides its size, its vocabulary and how noisy it is."""
    random = np.random.default_rng(seed)
    words = np.array([*WORDS, *(f"w{k}" for k in range(int(random.choice([0, 5, 60, 400]))))])
    words = random.permutation(words)[: int(random.choice([3, 8, len(words)]))]
    size = int(random.choice([1, 3, 8, 20, 45], p=[0.1, 0.2, 0.3, 0.3, 0.1]))
    noise = float(random.choice([0, 0.2, 0.5, 0.9]))
    longest = int(random.choice([3, 12, 30]))
    target = [sentence(random, words, longest) for _ in range(size)]
    gap = int(random.choice([0, 2, 30], p=[0.5, 0.3, 0.2]))
    first = counterpart(random, target, words, noise, gap)
    other = int(random.choice([0, 30], p=[0.8, 0.2]))
    if other:
        place = int(random.integers(0, size + 1))
        target[place:place] = [sentence(random, words, 8) for _ in range(other)]
    # the source has the lengths of its translation, more or less
    source = [" ".join("s" * max(1, len(word)) for word in line.split()) for line in first]
    kind = int(random.choice([0, 1, 2, 3, 4], p=[0.1, 0.5, 0.15, 0.15, 0.1]))
    translations = [first, [noisy(random, line, words, 0.2) for line in first]]
    backs = [[noisy(random, line, words, 0.1) for line in target]] * 2
    if kind == 0:  # compared as it is
        return Case(first, target, [], [])
    if kind < 3:
        return Case(source, target, translations[:kind], [])
    return Case(first, target, translations[: kind - 2], backs[:1])
