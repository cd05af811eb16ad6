"""Documents made from parallel rows: nothing is lost, and the gold beads are the rows."""

import gzip

import pytest

from polyad.data import DataError
from polyad.data.align_documents import (
    Disturbances,
    ParallelRow,
    make_documents,
    pieces,
    read_rows,
    split_rows,
    swapped,
)

ROWS = [
    ParallelRow(f"page{i // 9}", f"id{i}", f"One {i}. Two {i}. Three {i}.", f"Eins {i}. Zwei {i}.")
    for i in range(130)
]
STILL = Disturbances(merge=0, split=0, drop=0, insert=0, shuffle=0)


def made(**options):
    return list(make_documents(ROWS, **{"rows_per_document": 40, "seed": 3, **options}))


def test_undisturbed_documents_are_the_rows():
    documents = made(disturbances=STILL)
    assert [len(d.document.source) for d in documents] == [40, 40, 40]
    for k, d in enumerate(documents):
        assert d.rows == ROWS[40 * k : 40 * k + 40]
        assert d.document.source == [row.source for row in d.rows]
        assert d.document.target == [row.target for row in d.rows]
        assert [(b.source, b.target) for b in d.gold] == [((i,), (i,)) for i in range(40)]


@pytest.mark.parametrize("seed", range(5))
def test_gold_covers_every_sentence_once_and_joins_what_belongs_together(seed):
    seen = set()
    for d in made(seed=seed, disturbances=Disturbances(0.2, 0.3, 0.1, 0.1, 0.3, 5)):
        assert sorted(i for b in d.gold for i in b.source) == list(range(len(d.document.source)))
        assert sorted(j for b in d.gold for j in b.target) == list(range(len(d.document.target)))
        own = {row.source for row in d.rows}
        for bead in d.gold:
            source = " ".join(d.document.source[i] for i in bead.source)
            target = " ".join(d.document.target[j] for j in bead.target)
            if bead.source and bead.target:
                numbers = {word.strip(".") for word in source.split()[1::2]}
                assert numbers == {word.strip(".") for word in target.split()[1::2]}
                assert len(numbers) == max(len(bead.source), len(bead.target)) or (
                    len(numbers) == 1 and len(bead.source) + len(bead.target) == 3
                )
            elif bead.source and source not in own:
                seen.add("foreign")
            seen.add((len(bead.source), len(bead.target)))
    assert seen == {"foreign", (1, 1), (1, 2), (2, 1), (1, 0), (0, 1)}


def test_the_same_seed_gives_the_same_documents_and_another_one_others():
    first, again, other = made(), made(), made(seed=4)
    assert first == again
    assert first != other
    assert made(documents=2) == first[:2]


def test_shuffled_blocks_change_places_on_the_target_side_only():
    only = Disturbances(merge=0, split=0, drop=0, insert=0, shuffle=1, block=10)
    d = made(disturbances=only)[0]
    assert d.document.source == [row.source for row in d.rows]
    assert [b.target[0] for b in d.gold] == [
        *range(10, 20),
        *range(10),
        *range(30, 40),
        *range(20, 30),
    ]


def test_parts_are_what_a_translator_needs():
    d = made()[0]
    table = {part: part.upper() for parts in d.parts for part in parts}
    document = d.translated(table)
    assert document.translations == ([text.upper() for text in document.source],)
    with pytest.raises(KeyError):
        d.translated({})


def test_split_rows_shares_neither_documents_nor_texts():
    rows = [*ROWS, ROWS[0]._replace(document="elsewhere"), ROWS[99]._replace(document="there")]
    first, second = split_rows(rows, 0.5, seed=1)
    assert first
    assert second
    for column in ("document", "source", "target"):
        values = [{getattr(row, column) for row in part} for part in (first, second)]
        assert not values[0] & values[1]


def test_swapped_and_pieces():
    assert swapped(ROWS[:1]) == [ParallelRow("page0", "id0", ROWS[0].target, ROWS[0].source)]
    assert pieces(" One 1. Two!  Three? 3.5 four ") == ["One 1.", "Two!", "Three?", "3.5 four"]
    assert pieces("하나. 둘。 셋") == ["하나.", "둘。", "셋"]


def test_rows_are_read_from_plain_and_packed_files(tmp_path):
    text = "".join("\t".join(row) + "\n" for row in ROWS)
    (tmp_path / "rows.tsv").write_text(text, encoding="utf-8")
    (tmp_path / "rows.tsv.gz").write_bytes(gzip.compress(text.encode()))
    assert read_rows(tmp_path / "rows.tsv") == read_rows(str(tmp_path / "rows.tsv.gz")) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\tc\td\na\tb\tc\n", r"rows\.tsv:2: expected 4 columns .* got 3"),
        (b"a\tb\tc\t \n", r"rows\.tsv:1: expected text in columns 3 and 4"),
        (b"a\tb\tc\td\n\xff", r"rows\.tsv: not UTF-8"),
        (b"", r"rows\.tsv: holds no rows"),
    ],
)
def test_bad_rows_are_refused_by_name_and_line(tmp_path, content, message):
    (tmp_path / "rows.tsv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / "rows.tsv")


def test_a_broken_gzip_file_is_refused(tmp_path):
    path = tmp_path / "rows.tsv.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"rows\.tsv\.gz: not a whole gzip file"):
        read_rows(path)
    path.write_bytes(gzip.compress(b"a\tb\tc\td\n" * 999)[:-9])
    with pytest.raises(DataError, match="not a whole gzip file"):
        read_rows(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Disturbances(merge=1.5), r"merge: .* got 1\.5"),
        (lambda: Disturbances(merge=0.5, drop=0.6), "at most 1"),
        (lambda: Disturbances(block=0), "block: expected at least 1 row, got 0"),
        (lambda: made(rows_per_document=0), "rows_per_document: expected at least 1, got 0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
