"""What a mining is told: how to align, what translates, when it is good enough and when it ends."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from polyad.align.aligner import MODES
from polyad.align.tokenizers import tokenizer
from polyad.align.vectors import WordVectors
from polyad.run import Run, RunError

__all__ = ["GLOSS", "MiningSettings"]

GLOSS = "gloss"
"""The translation that needs no command."""

WORDS = 2_000_000
"""Words that a training of vectors goes through, unless epochs are given."""


@dataclass(frozen=True)
class MiningSettings:
    """How to mine.

    Args:
        mode: Of the aligner.
        tokenize: Splits the target and the translations into words: a name of
            `polyad.align.tokenizers`.
        source_tokenize: Splits the source and back translations.
        translate: A command for the shell that reads source sentences and writes their
            translations, line for line; or 'gloss'; None: the documents' own translations, or none.
            It is run in every round if ``{source}`` or ``{target}`` stands in it, the files of the
            pairs of the round before (empty ones in the first), else once. In the mode 'bleualign'
            what it writes takes the place of the documents' translations, as that mode intersects
            several; in 'accurate' it stands beside them.
        vectors: A file of word vectors for the first round, which else counts equal words alone
            (BLEU).
        matching: Of ABLEU, in the mode 'bleualign'.
        least_cosine: Likewise; words whose vectors are less similar count as different.
        known: Two files of sentence pairs that are known beforehand, source and target, line by
            line: every training learns from them, too. Where few pairs are found the vectors are
            poor without.
        accuracy: What the estimate of the accuracy must reach, 0 to 1.
        training_accuracy: The same for the pairs that are learned from: vectors bear mistakes
            better than they bear having seen little.
        rounds: How many at most, the first included.
        min_gain: A round must yield so much more than the best before, as a share of it, or it is
            the last.
        dimension: Of the vectors trained, as in `polyad.align.vectors.train_word2vec_pair`, like
            what follows.
        window: How far a context reaches among the shuffled words of a pair.
        epochs: How often the pairs are gone through; None: until two million words were, yet 5
            times at least and 50 at most, as few pairs need more.
        min_count: Rarer words get no vector.
        seed: Of the training.

    Raises:
        ValueError: A value that cannot be.
    """

    mode: str = "accurate"
    tokenize: str = "words"
    source_tokenize: str = "words"
    translate: str | None = None
    vectors: str | None = None
    matching: str = "source"
    least_cosine: float = 0.35
    known: tuple[str, str] | None = None
    accuracy: float = 0.95
    training_accuracy: float = 0.8
    rounds: int = 5
    min_gain: float = 0.01
    dimension: int = 100
    window: int = 20
    epochs: int | None = None
    min_count: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("mode", MODES), ("matching", ("source", "one_to_one"))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        for name in ("accuracy", "training_accuracy"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: expected between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.least_cosine <= 1:
            raise ValueError(f"least_cosine: expected 0 to 1, got {self.least_cosine}")
        if not self.min_gain >= 0:
            raise ValueError(f"min_gain: expected at least 0, got {self.min_gain}")
        for name in ("rounds", "dimension", "window", "epochs", "min_count"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected at least 1, got {value}")
        for name in ("tokenize", "source_tokenize"):
            tokenizer(getattr(self, name))
        if self.translate is not None and not self.translate.strip():
            raise ValueError("translate: expected a command or 'gloss', got nothing")

    def epochs_for(self, words: int) -> int:
        """Return how often pairs of so many words are gone through."""
        if self.epochs is not None:
            return self.epochs
        return min(max(-(-WORDS // max(words, 1)), 5), 50)

    def soft_options(self, vectors: WordVectors) -> dict[str, Any]:
        """Return the aligner's options for a round with vectors."""
        options = {"score": "ableu", "vectors": vectors}
        if self.mode == "bleualign":
            options |= {"matching": self.matching, "least_cosine": self.least_cosine}
        return options

    @classmethod
    def of(cls, run: Run) -> MiningSettings:
        """Return the settings that a run folder holds.

        Raises:
            RunError: They are damaged.
        """
        try:
            found = {f.name: run.settings[f.name] for f in fields(cls)}
            if found["known"] is not None:
                source, target = map(str, found["known"])
                found["known"] = source, target
            return cls(**found)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.file('settings.json')}: damaged ({error})") from error

    @property
    def translates_every_round(self) -> bool:
        """Whether the translation changes from round to round."""
        made = self.translate
        return made is not None and (made == GLOSS or "{source}" in made or "{target}" in made)
