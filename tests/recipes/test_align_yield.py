"""The yields of BLEU, ABLEU and the loop on a small corpus in made languages."""

import gzip
import json

import numpy as np
import pytest

from polyad.recipes import align_yield as recipe

pytest.importorskip("gensim")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Rows whose target has two words for one of the source, and translations that know one."""
    folder = tmp_path_factory.mktemp("rows")
    random = np.random.default_rng(0)
    rows, translations = [], []
    for number in range(900):
        words = random.integers(60, size=6)
        source = " ".join(f"s{word}" for word in words)
        target = " ".join(f"{random.choice(['t', 'u'])}{word}" for word in words)
        rows.append(f"page{number // 30}\tid{number}\t{source}\t{target}\n")
        translations.append(f"{source}\t*{source.replace('s', 't')}\n")
    for name, lines in (("rows", rows), ("translations", translations)):
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return folder


def test_the_recipe_measures_every_system(files, capsys, monkeypatch):
    monkeypatch.setattr(recipe, "RESAMPLES", 5)
    out = files / "figures.json"
    recipe.main(
        [
            *("--rows", str(files / "rows.tsv.gz"), "--epochs", "20", "--rounds", "2"),
            *("--translations", str(files / "translations.tsv.gz"), "--json", str(out)),
            *("--documents", "5", "--skip", "1", "--least-cosine", "0.5"),
        ]
    )
    content = json.loads(out.read_text())
    names = [result["system"] for result in content["results"]]
    assert names[: len(names) // 3] == [
        "BLEU",
        "ABLEU(word2vec)",
        "ABLEU(word2vec-pair)",
        "accurate",
        "accurate(word2vec-pair)",
        "loop, round 0",
        "loop, round 1",
    ]
    flat = content["figures"]
    assert flat["ratio_bleu_strict_95"] == flat["ratio_loop_round_0_strict_95"] == 1
    assert flat["yield_ableu_word2vec_pair_lax_95_percent"] > 0
    for result in content["results"]:
        assert result["low"] <= result["high"]
        assert 0 <= result["found"]["share"] <= 1
        if result["found"]["beads"] and not result["lax"]:
            assert result["found"]["accuracy"] >= result["asked"]
    printed = capsys.readouterr().out
    assert printed.startswith("5 documents, ")
    assert "the article: ABLEU, beside BLEU  x 1.322" in printed


def test_a_gloss_stands_in_where_there_is_no_translation(files):
    rows = recipe.read_rows(files / "rows.tsv.gz")
    experiment = recipe.Experiment(rows, documents=3, rows_per_document=40, epochs=20, dimension=24)
    experiment.train()
    texts = [d.translations[0] for d in experiment.translated]
    assert [len(text) for text in texts] == [len(d.source) for d in experiment.translated]
    words = [word for text in texts for sentence in text for word in sentence.split()]
    assert sum(word[0] in "tu" for word in words) > 0.9 * len(words)
    apart = {row for made in experiment.made for row in made.rows}
    assert not {" ".join(words) for words in experiment.apart_source} & {r.source for r in apart}


def test_wrong_use_is_one_line(files, tmp_path):
    with pytest.raises(SystemExit, match="No such file"):
        recipe.main(["--rows", str(tmp_path / "none.tsv")])
    translations = str(files / "translations.tsv.gz")
    with pytest.raises(SystemExit, match="expected 4 columns"):
        recipe.main(["--rows", translations])
    swap = ["--rows", str(files / "rows.tsv.gz"), "--swap", "--translations", translations]
    with pytest.raises(SystemExit) as end:
        recipe.main(swap)
    assert end.value.code == 2
