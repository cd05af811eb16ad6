"""Texts for ``polyad align``, and the words that align them."""

import base64

SOURCE = "Das war ein Satz.\nHier steht noch einer.\nUnd der letzte Satz.\n"
TARGET = "This is a sentence.\nHere is another one.\nAnd the last sentence.\n"
ALIGN = ["align", "-s", "s", "-t", "t", "--srctotarget", "m"]


def write_texts(folder):
    """Write a source, a target and a translation of the source; return the folder."""
    for name, text in (("s", SOURCE), ("t", TARGET), ("m", TARGET)):
        (folder / name).write_text(text)
    return folder


def documents(count):
    """Documents as Bitextor hands them on."""
    cells = [base64.b64encode(t.encode()).decode() for t in (SOURCE, TARGET, TARGET)]
    rows = ["src_url\ttrg_url\tsrc_text\ttrg_text\tsrc_translated"]
    rows += [f"u{i}\tv{i}\t" + "\t".join(cells) for i in range(count)]
    return "\n".join(rows) + "\n"
