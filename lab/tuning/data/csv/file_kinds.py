"""Recognise by its first bytes what is not a CSV at all, and name it."""

import io
import re
import zipfile

from tuning.errors import DataError

FIRST_BYTES = 4096
# Lines looked at before a text is taken for PhraseBank's own: a sentence that ends in an address has no label there.
FIRST_LINES = 20

_EXPORT = 'Open it in its program and save the table as "CSV UTF-8".'
_UNPACK = "Unpack it and set DATA to the CSV file inside."
_DOWNLOAD = "On the page, look for Download or Raw, and save the file itself."
_CONVERT = (
    'In Python: pandas.read_json(FILE, lines=True).to_csv("mine.csv", index=False); without lines=True for a list.'
)
_BEGINNINGS = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer",
        "The data stayed behind: run git lfs pull there, or download it.",
    ),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", _EXPORT),
    (b"{\\rtf", "a document of a word processor (RTF)", _EXPORT),
    (b"%PDF-", "a PDF", _EXPORT),
    (b"\x1f\x8b", "a compressed file (gzip)", _UNPACK),
    (b"BZh91AY&SY", "a compressed file (bzip2)", _UNPACK),
    (b"\xfd7zXZ", "a compressed file (xz)", _UNPACK),
    (b"7z\xbc\xaf", "an archive (7z)", _UNPACK),
    (b"Rar!\x1a\x07", "an archive (rar)", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a compressed file (zstd)", _UNPACK),
    (b"PAR1\x15", "a Parquet file", 'In Python: pandas.read_parquet(FILE).to_csv("mine.csv", index=False).'),
    (b"ARROW1\0", "an Arrow file", 'In Python: pandas.read_feather(FILE).to_csv("mine.csv", index=False).'),
    (b"SQLite format 3", "a database (SQLite)", "Export its table as CSV."),
    (b"\x89PNG", "a picture (PNG)", "Set DATA to the table itself."),
    (b"\xff\xd8\xff", "a picture (JPEG)", "Set DATA to the table itself."),
    (b"\x80\x04\x95", "a Python pickle", "It can run code when it is opened: ask for the CSV."),
    (b"\x00\x05\x16\x07", "a macOS side file, whose name begins with ._", "Take the file without ._ in its name."),
)
_PHRASEBANK_LINE = re.compile(rb".*\S@(?:negative|neutral|positive)\s*")
_LOCK = re.compile(rb",[^,\r\n]*,[^,\r\n]*,\d\d\.\d\d\.\d{4} \d\d:\d\d,file:///")
_JSON = re.compile(rb'\{\s*["}]|\[\s*[\[{"]')
_WEB = re.compile(rb"<(?:!doctype|html|head|body|table|div|\?xml|!--)", re.IGNORECASE)


def refuse_other_kinds(raw: bytes, name: str) -> None:
    """Refuse a file that is something else than a table in plain text."""
    head = raw[:FIRST_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = next(((kind, advice) for begin, kind, advice in _BEGINNINGS if head.startswith(begin)), None)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        kind = _zip(raw)
    elif head[257:262] == b"ustar":
        kind = "an archive (tar)", _UNPACK
    elif _WEB.match(head):
        kind = "a web page or XML", _DOWNLOAD
    elif _LOCK.match(head):
        kind = "a lock file of LibreOffice", "Set DATA to the file without .~lock. and # in its name."
    elif _JSON.match(head):
        kind = _json(head)
    elif _is_phrasebank(head):
        kind = "PhraseBank's own text file", 'Set DATA = "phrasebank": the workshop brings and checks it by itself.'
    if kind:
        raise DataError(f"{name}: this is {kind[0]}, not a CSV. {kind[1]}")


def _zip(raw: bytes) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        names = []
    if "xl/workbook.xml" in names:
        return "an Excel workbook (xlsx)", _EXPORT
    if "mimetype" in names or "word/document.xml" in names:
        return "a document of an office program", _EXPORT
    inside = [name.rsplit("/", 1)[-1] for name in names if name.lower().endswith((".csv", ".tsv", ".txt"))][:3]
    return "an archive (zip)", _UNPACK + (f" It holds {', '.join(inside)}." if inside else "")


def _json(head: bytes) -> tuple[str, str]:
    if b'"cells"' in head:
        return "a notebook", "Set DATA to the table that it reads."
    lines = [line for line in head.split(b"\n")[:2] if line.strip()]
    return ("JSON lines" if len(lines) == 2 and all(line.startswith(b"{") for line in lines) else "JSON"), _CONVERT


def _is_phrasebank(head: bytes) -> bool:
    lines = [line for line in re.split(rb"[\r\n]+", head)[: FIRST_LINES + 1] if line.strip()]
    # The last one may be cut off.
    whole = lines[:-1] if len(lines) > 1 else lines
    return bool(whole) and all(map(_PHRASEBANK_LINE.fullmatch, whole))
