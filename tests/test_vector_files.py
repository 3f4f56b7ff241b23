"""Files of word vectors: read in every form that is handed around, or refused with the reason."""

import gzip
import pickle

import numpy as np
import pytest

from replicate.corpora import transcriptions
from replicate.corpora.transcriptions import standin_vectors
from replicate.corpora.vector_files import read
from replicate.files import InputError

ROWS = {"never": [1.0, 0.5, -2.0], "great": [0.25, 3.0, 1.5], "caf\u00e9": [0.0, 1.0, 0.125]}


NUMBERS = tuple(ROWS.values())


def lines(words=tuple(ROWS), rows=NUMBERS, encoding="utf-8"):
    text = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows, strict=True)]
    return "".join(text).encode(encoding)


HEAD = b"3 3\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("head.txt", HEAD + lines()),
        ("none.vec", lines()),
        ("bom.txt", b"\xef\xbb\xbf" + HEAD + lines()),
        ("crlf.txt", (HEAD + lines()).replace(b"\n", b"\r\n")),
        ("tabs.txt", lines().replace(b" ", b"\t")),
        ("packed.vec.gz", gzip.compress(HEAD + lines(), mtime=0)),
        ("packed.txt", gzip.compress(lines(), mtime=0)),
    ],
)
def test_text_is_read_with_and_without_a_first_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    vectors, notes = read(path)
    assert vectors.index_to_key == list(ROWS) and notes == ()
    np.testing.assert_array_equal(vectors.vectors, np.array([*ROWS.values()], np.float32))


def test_words_may_hold_blanks(tmp_path):
    path = tmp_path / "blanks.txt"
    path.write_bytes(lines(("never", ". . .", "at name@domain"), tuple(ROWS.values())))
    assert read(path)[0].index_to_key == ["never", ". . .", "at name@domain"]


def test_what_is_odd_is_told(tmp_path):
    path = tmp_path / "odd.txt"
    path.write_bytes(lines(("never", "never", "caf\u00e9"), encoding="cp1252"))
    vectors, notes = read(path)
    assert vectors.index_to_key == ["never", "caf\u00e9"] and len(notes) == 2
    np.testing.assert_array_equal(vectors["never"], ROWS["never"])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b"", "is empty"),
        ("blank.txt", b"\n\n", "holds no word vectors"),
        ("nan.txt", HEAD + lines().replace(b"0.5", b"nan"), "1 of 3 vectors.*never"),
        ("infinite.txt", lines().replace(b"0.5", b"1e999"), "1 of 3 vectors.*never"),
        ("cut.txt", b"4 3\n" + lines(), "announces 4 vectors and holds 3"),
        ("short.txt", HEAD + lines()[:-7], r"short\.txt:4: .*2 numbers where 3 belong"),
        ("wide.txt", lines().decode().encode("utf-16"), "zero bytes"),
        ("prose.txt", b"this is a\ntext of\nsome words\n", "not|no word"),
        ("cut.txt.gz", gzip.compress(lines(), mtime=0)[:-9], "EOFError"),
        ("noise.bin", b"\x93noise", "not readable"),
        ("cut.bin", b"3 3\nnever \0\0", "not readable"),
        ("module.kv", b"\x80\x04\x8c\x0bnosuchmod_x\x8c\x01Y\x93.", "ModuleNotFoundError"),
        ("other.kv", pickle.dumps({"never": 1}), "not readable|holds no word vectors"),
    ],
)
def test_what_cannot_be_used_is_one_clear_error(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read(path)
    assert name in caught.value.place


@pytest.mark.parametrize("damage", [b"", b"noise", "cut", "flipped"])
def test_damaged_vectors_of_the_standin_are_made_anew(tmp_path, monkeypatch, capsys, damage):
    monkeypatch.setenv("REPLICATE_CACHE", str(tmp_path))
    before = standin_vectors(size=8, n_sentences=50)
    (path,) = tmp_path.glob("vectors/*")
    content = path.read_bytes()
    if damage == "cut":
        damage = content[: len(content) // 2]
    elif damage == "flipped":
        damage = content[:200] + bytes([content[200] ^ 255]) + content[201:]
    path.write_bytes(damage)
    again = standin_vectors(size=8, n_sentences=50)
    np.testing.assert_array_equal(again.vectors.vectors, before.vectors.vectors)
    assert "made anew" in capsys.readouterr().err
    assert path.read_bytes() == content or transcriptions._cached(path) is not None
    standin_vectors(size=8, n_sentences=50)
    assert capsys.readouterr().err == ""
