"""The mining loop: align, learn word vectors from what was found, align again with them.

What the aligner finds trains vectors on its pairs (word2vec-pair), ABLEU with these vectors finds
more, and so on until the yield stops growing (Kakao AI Report 8, "ABLEU"). In each round the source
can be translated again, by a command that may itself learn from the pairs found so far, or word for
word by the vectors. A mining is a run folder (see `polyad.run`), and in it

    round-K/vectors.bin          trained on the pairs of round K - 1 (word2vec's binary format)
    round-K/translation.txt      of every source sentence, if something translates
    round-K/beads.tsv.gz         all beads with scores and texts
    round-K/decoys.txt           the scores of the decoys, see `polyad.align.yields`
    round-K/pairs-s, pairs-t     the texts of the beads at and above the threshold
    round-K/round.json           the figures of the round; written last
    mined.tsv.gz, mined-s, -t    the beads of the best round at and above its threshold
    report.html                  a page: the rounds, some beads, the settings

Every file appears whole, and a stage whose file is there is not run again: a mining that was
interrupted goes on from there and ends with the same beads.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from polyad._files import written_whole
from polyad.align import formats
from polyad.align.aligner import Aligner
from polyad.align.documents import Document
from polyad.align.formats.base import flat, score_of, table
from polyad.align.mining_folder import MODEL, PAIRS, begin, read_json, write_json
from polyad.align.mining_settings import GLOSS, MiningSettings
from polyad.align.streams import MAX_LINE, lines, written
from polyad.align.tokenizers import tokenizer
from polyad.align.translate import gloss, gloss_table, translate_file
from polyad.align.vectors import WordVectors, train_word2vec_pair
from polyad.align.yields import Yield, align_with_decoys, counted, highest_yield, text_mark
from polyad.report.mining_page import write_page
from polyad.run import Run, RunError

__all__ = ["MODEL", "Miner", "Report", "begin"]

Report = Callable[[Mapping[str, Any]], None]
"""Takes reports of progress: round, stage, documents done, documents in all, figures of a round."""


class Miner:
    """Runs a mining and leaves its run folder.

    Args:
        run: Begun; ``run.settings`` holds those of `MiningSettings`.
        documents: Gives the documents from the first to the last, every time it is called.
        report: Told of the progress.
    """

    def __init__(
        self,
        run: Run,
        documents: Callable[[], Iterable[Document]],
        *,
        report: Report | None = None,
    ) -> None:
        self.run = run
        self.settings = MiningSettings.of(run)
        self._documents = documents
        self._report = report or (lambda info: None)
        self._corpus: dict[str, Any] = {}

    def mine(self) -> dict[str, float]:
        """Run what rounds are left, write the results, and return the metrics.

        Raises:
            RunError: The documents are not those that the run began with; no threshold is accurate
                enough in the first round.
            ValueError: A document or a translation that cannot be used.
            OSError: A file that cannot be read or written.
        """
        self.run.sweep()
        for folder in self.run.path.glob("round-*"):
            for path in folder.glob(".*.part"):
                path.unlink()
        self._corpus = self._survey()
        rounds: list[dict[str, float]] = []
        while not self._ended(rounds):
            made = self._round(len(rounds))
            rounds.append(made)
            self._say(len(rounds) - 1, "done", figures=made)
            self._draw(rounds)
        return self._finish(rounds)

    def _say(self, number: int, stage: str, done: int = 0, **more: Any) -> None:
        self._report(
            {
                "round": number,
                "stage": stage,
                "done": done,
                "documents": self._corpus.get("documents", 0),
                **more,
            }
        )

    def _survey(self) -> dict[str, Any]:
        """Count the documents and remember what they are; compare with what they were."""
        mark = blake2b(digest_size=16)
        documents = sentences = targets = 0
        for document in self._documents():
            documents += 1
            sentences += len(document.source)
            targets += len(document.target)
            for side in (
                document.source,
                document.target,
                *document.translations,
                *document.back_translations,
            ):
                mark.update(f"{len(side)}\n".encode())
                for text in side:
                    mark.update(text.encode(errors="surrogatepass") + b"\n")
        if not sentences or not targets:
            raise RunError(f"{self.run.path}: the documents hold no sentences to align")
        found = {
            "documents": documents,
            "sentences_source": sentences,
            "sentences_target": targets,
            "fingerprint": mark.hexdigest(),
        }
        path = self.run.file("corpus.json")
        if path.is_file():
            before = read_json(path)
            if before != found:
                raise RunError(
                    f"{self.run.path}: was begun with other documents ({before.get('documents')} "
                    f"with {before.get('sentences_source')} source sentences, now {documents} with "
                    f"{sentences}, or other texts); --force begins anew"
                )
        else:
            write_json(path, found)
        return found

    def _ended(self, rounds: Sequence[Mapping[str, float]]) -> bool:
        if len(rounds) >= self.settings.rounds:
            return True
        if len(rounds) < 2:
            return False
        best = max(made["sentences"] for made in rounds[:-1])
        return rounds[-1]["sentences"] <= best * (1 + self.settings.min_gain)

    def _round(self, number: int) -> dict[str, float]:
        """Run the stages of a round whose files are not there."""
        folder = self.run.path / f"round-{number}"
        path = folder / "round.json"
        if path.is_file():
            return read_json(path)
        folder.mkdir(exist_ok=True)
        started = time.perf_counter()
        vectors = self._vectors(number, folder)
        translation = self._translation(number, folder, vectors)
        if not (folder / "beads.tsv.gz").is_file():
            self._align(number, folder, vectors, translation)
        figures = self._select(number, folder)
        figures["seconds_round"] = time.perf_counter() - started
        write_json(path, figures)
        return figures

    def _vectors(self, number: int, folder: Path) -> WordVectors | None:
        """The vectors of a round: trained on the pairs of the round before it."""
        if number == 0:
            given = self.settings.vectors
            return None if given is None else WordVectors.load(given)
        path = folder / "vectors.bin"
        if not path.is_file():
            how = self.settings
            self._say(number, "vectors")
            sides = self._pairs(number - 1)
            epochs = how.epochs_for(sum(len(words) for side in sides for words in side))
            trained = train_word2vec_pair(
                zip(*sides, strict=True),
                dimension=how.dimension,
                window=how.window,
                epochs=epochs,
                min_count=how.min_count,
                seed=how.seed,
                progress=lambda done: self._say(number, "vectors", done, of=epochs),
            )
            trained.save(path)
        return WordVectors.load(path)

    def _pairs(self, number: int) -> tuple[list[list[str]], list[list[str]]]:
        """The words of both sides of the pairs to learn from: those known, those a round found."""
        texts: tuple[list[str], list[str]] = ([], [])
        if self.settings.known is not None:
            for side, path in zip(texts, self.settings.known, strict=True):
                side += lines(path)
            if len(texts[0]) != len(texts[1]):
                raise ValueError(
                    f"known: expected as many lines in both files, got {len(texts[0])} in "
                    f"{self.settings.known[0]} and {len(texts[1])} in {self.settings.known[1]}"
                )
        folder = self.run.path / f"round-{number}"
        least = read_json(folder / "round.json")["threshold_training"]
        for _, score, row in self._rows(folder):
            if score >= least:
                texts[0].append(row["source"])
                texts[1].append(row["target"])
        cuts = tokenizer(self.settings.source_tokenize), tokenizer(self.settings.tokenize)
        return cuts[0](texts[0]), cuts[1](texts[1])

    def _translation(self, number: int, folder: Path, vectors: WordVectors | None) -> Path | None:
        """The file of the translations of a round, or None: those of the documents."""
        how = self.settings
        if how.translate is None or (how.translate == GLOSS and vectors is None):
            return None
        if number and not how.translates_every_round:
            return self.run.path / "round-0" / "translation.txt"
        path = folder / "translation.txt"
        if path.is_file():
            return path
        self._say(number, "translate")
        with written_whole(path) as temporary:
            if how.translate == GLOSS:
                assert vectors is not None
                self._gloss(number, temporary, vectors)
            else:
                self._run_command(number, temporary)
        return path

    def _gloss(self, number: int, path: Path, vectors: WordVectors) -> None:
        cut = tokenizer(self.settings.source_tokenize)
        cut_target = tokenizer(self.settings.tokenize)
        counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        if number:
            for count, side in zip(counts, self._pairs(number - 1), strict=True):
                for words in side:
                    count.update(words)
        else:
            for document in self._documents():
                for words in cut(document.source):
                    counts[0].update(words)
                for words in cut_target(document.target):
                    counts[1].update(words)
        entries = gloss_table(vectors.words, vectors.vectors, *counts)
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for document in self._documents():
                for line in gloss(cut(document.source), entries):
                    file.write(flat(line) + "\n")

    def _run_command(self, number: int, path: Path) -> None:
        """Translate with the command, from a file to a file."""
        source = self.run.file("source.txt")
        if not source.is_file():
            with written(source) as file:
                for document in self._documents():
                    file.write("".join(flat(text) + "\n" for text in document.source).encode())
        command = str(self.settings.translate)
        for side, name in PAIRS.items():
            pairs = self.run.path / f"round-{number - 1}" / name if number else Path("/dev/null")
            command = command.replace(f"{{{side}}}", shlex.quote(str(pairs.absolute())))
        translate_file(command, source, path, lines=self._corpus["sentences_source"])

    def _translated(self, translation: Path | None) -> Iterator[Document]:
        """The documents, with the translations of a file."""
        if translation is None:
            yield from self._documents()
            return
        with translation.open(encoding="utf-8", newline="\n") as file:
            for document in self._documents():
                made = tuple(next(file).rstrip("\r\n") for _ in document.source)
                beside = document.translations if self.settings.mode == "accurate" else ()
                yield replace(document, translations=(*beside, made))

    def _align(
        self, number: int, folder: Path, vectors: WordVectors | None, translation: Path | None
    ) -> None:
        """Align all documents and their reversals; write the decoys, then the beads."""
        how = self.settings
        options: dict[str, Any] = {
            "tokenize": how.tokenize,
            "source_tokenize": how.source_tokenize,
        }
        if vectors is not None:
            options |= how.soft_options(vectors)
        aligner = Aligner(how.mode, **options)
        marks: set[bytes] = set()
        decoys: list[tuple[float, bytes]] = []
        self._say(number, "align")
        with formats.open_writer("tsv", folder / "beads.tsv.gz") as writer:
            made = align_with_decoys(aligner, self._translated(translation))
            for done, (alignment, more) in enumerate(made, 1):
                writer.write(alignment)
                marks |= {text_mark(*alignment.text(bead)) for bead in alignment.beads}
                decoys += more
                self._say(number, "align", done)
            with written_whole(folder / "decoys.txt") as temporary:
                scores = counted(decoys, marks)
                temporary.write_text("".join(f"{score!r}\n" for score in scores.tolist()))

    def _rows(self, folder: Path) -> Iterator[tuple[int, float, dict[str, str]]]:
        """Source sentences, score and columns of all beads of a round."""
        path = folder / "beads.tsv.gz"
        needed = ("source_ids", "score", "source", "target")
        for line, row in table(path, needed, MAX_LINE):
            yield row["source_ids"].count(",") + 1, score_of(row["score"], str(path), line), row

    def _select(self, number: int, folder: Path) -> dict[str, float]:
        """Find the threshold, write the pairs at and above it, return the figures."""
        rows = [(count, score) for count, score, _ in self._rows(folder)]
        decoys = [float(line) for line in (folder / "decoys.txt").read_text().splitlines()]

        def at(accuracy: float) -> Yield:
            return highest_yield(
                [score for _, score in rows],
                [count for count, _ in rows],
                decoys,
                possible=self._corpus["sentences_source"],
                accuracy=accuracy,
                surplus=1,
            )

        found, learned = at(self.settings.accuracy), at(self.settings.training_accuracy)
        if not found.beads and not number:
            raise RunError(
                f"{self.run.path}: no threshold gives an estimated accuracy of "
                f"{self.settings.accuracy:g} in the first round ({len(rows)} beads, {len(decoys)} "
                "decoys): give a better translation, more documents or a lower --accuracy"
            )
        with (
            written(folder / PAIRS["source"]) as source,
            written(folder / PAIRS["target"]) as target,
        ):
            for _, score, row in self._rows(folder):
                if score >= found.threshold:
                    source.write(f"{flat(row['source'])}\n".encode())
                    target.write(f"{flat(row['target'])}\n".encode())
        return {
            "yield_percent": 100 * found.share,
            "accuracy_estimated_percent": 100 * found.accuracy,
            "threshold": found.threshold if found.beads else 0.0,
            "threshold_training": learned.threshold if learned.beads else 2.0,
            "beads_training": learned.beads,
            "beads": found.beads,
            "sentences": found.sentences,
            "beads_found": len(rows),
            "decoys": len(decoys),
        }

    def _draw(self, rounds: Sequence[Mapping[str, float]]) -> None:
        """Write the history and, where matplotlib is, the picture of the yield."""
        rows = [{"round": number, **made} for number, made in enumerate(rounds)]
        self.run.write_history(rows)
        try:
            from polyad.report.figures import curves
            from polyad.report.look import require_matplotlib

            require_matplotlib()
        except ImportError:
            return
        self.run.save_picture(
            "yield",
            curves(
                list(range(len(rounds))),
                {"yield": [made["yield_percent"] for made in rounds]},
                x_label="round",
                y_label="source sentences found, %",
                mark_values=True,
            ),
        )

    def _finish(self, rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """Write the beads of the best round and the metrics."""
        best = max(range(len(rounds)), key=lambda number: rounds[number]["sentences"])
        folder = self.run.path / f"round-{best}"
        made = rounds[best]
        with written(self.run.file("mined.tsv.gz")) as file:
            head = False
            for _, score, row in self._rows(folder):
                if not head:
                    file.write(("\t".join(row) + "\n").encode())
                    head = True
                if score >= made["threshold"]:
                    file.write(("\t".join(row.values()) + "\n").encode())
        for side, name in (("source", "mined-s"), ("target", "mined-t")):
            with written_whole(self.run.file(name)) as temporary:
                temporary.write_bytes((folder / PAIRS[side]).read_bytes())
        first = rounds[0]["sentences"]
        metrics = {
            "documents": self._corpus["documents"],
            "sentences_source": self._corpus["sentences_source"],
            "sentences_target": self._corpus["sentences_target"],
            "rounds": len(rounds),
            "round_best": best,
            **{name: made[name] for name in made if name != "seconds_round"},
            "yield_first_percent": rounds[0]["yield_percent"],
            "gain_percent": 100 * (made["sentences"] / first - 1) if first else 0.0,
            "seconds_mining": sum(each["seconds_round"] for each in rounds),
        }
        self.run.add_metrics(**metrics)
        write_page(self.run)
        return self.run.metrics()
