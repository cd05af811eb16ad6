"""What the documents show is true: their Python runs, and their links lead somewhere."""

import re

import pytest

GUIDES = [
    "README.md",
    "README.ko.md",
    "docs/hypernet.md",
    "docs/ntm.md",
    "docs/capsule.md",
    "docs/align.md",
]
DOCUMENTS = [
    *GUIDES,
    "CONTRIBUTING.md",
    "csrc/README.md",
    "docs/README.md",
    "docs/align_measured.md",
]


def blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("document", GUIDES)
def test_python_in_documents_runs(root, document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks((root / document).read_text())
    assert code
    if "import torch" in "".join(code):
        pytest.importorskip("torch")
    names = {}
    for block in code:  # a later block may use what an earlier one defined
        exec(compile(block, f"{document}: {block.splitlines()[0]}", "exec"), names)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(root, document):
    path = root / document
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (path.parent / target).exists()] == []
