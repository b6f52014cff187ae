"""Files of text as people have them: what one holds, what is sent of it, what is said of it."""

import codecs
import os
from dataclasses import dataclass

GUESSED = "encoding guessed: "
BROKEN = "what is broken is replaced"
ES = "¿Qué ocurrió? El señor Núñez llegó a la habitación, pidió café y miró la televisión."
PT = "A informação não está disponível: a solução será enviada amanhã às três da manhã."
DE = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, für fünf Mark."
FR = "Le colis est arrivé très tard, déjà abîmé, où l'on ne l'attendait plus du tout : été."
PL = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw."
CS = "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv, příliš žluťoučký."
RU = "\u0412\u0441\u0435 люди рождаются свободными и равными в своём достоинстве и правах."
UK = "Всі люди народжуються вільними і рівними у своїй гідності та правах, їхній розум."  # noqa: RUF001
EL = "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."  # noqa: RUF001
TR = "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar, akıl ve vicdan sahibidir."  # noqa: RUF001
HE = "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם, כולם חוננו בתבונה ובמצפון."
AR = "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا."
LT = "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis, jiems suteiktas protas ir sąžinė."
TH = "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม"
JA = "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"
KO = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."
ZH = "人人生而自由\u3002在尊严和权利上一律平等\u3002他们赋有理性和良心\u3002"
TW = "人人生而自由\u3002在尊嚴和權利上一律平等\u3002他們賦有理性和良心\u3002"


@dataclass(frozen=True)
class Case:
    """`sent`: the text that the provider is sent, None for none: then `said` is of the reason why
    it is skipped, or with `failed` of why it failed. `said` is else of the item's notes, and None
    where there must be none."""

    name: str
    raw: bytes
    sent: str | None
    said: str | None = None
    failed: bool = False


def _guess(name: str, text: str, codec: str) -> Case:
    return Case(
        f"{name}-{codec}.txt", f"{text}\n{text}\n".encode(codec), f"{text}\n{text}", GUESSED
    )


def _declared(name: str, text: str, codec: str) -> Case:
    return Case(name, text.encode(codec), text)


LEGACY = [
    _guess("es", ES, "cp1252"), _guess("es", ES, "mac-roman"), _guess("pt", PT, "cp1252"),
    _guess("de", DE, "cp1252"), _guess("de", DE, "cp850"), _guess("fr", FR, "cp1252"),
    _guess("fr", FR, "iso8859-15"), _guess("pl", PL, "cp1250"), _guess("pl", PL, "iso8859-2"),
    _guess("cs", CS, "cp1250"), _guess("ru", RU, "cp1251"), _guess("ru", RU, "koi8-r"),
    _guess("ru", RU, "cp866"), _guess("uk", UK, "cp1251"), _guess("uk", UK, "koi8-u"),
    _guess("el", EL, "cp1253"), _guess("el", EL, "iso8859-7"), _guess("tr", TR, "cp1254"),
    _guess("he", HE, "cp1255"), _guess("ar", AR, "cp1256"), _guess("lt", LT, "cp1257"),
    _guess("th", TH, "cp874"), _guess("ja", JA, "cp932"), _guess("ja", JA, "euc_jp"),
    _guess("ja", JA, "iso2022_jp"), _guess("ko", KO, "euc_kr"), _guess("zh", ZH, "gb18030"),
    _guess("tw", TW, "big5"), _guess("ru", RU, "utf-16-le"), _guess("ja", JA, "utf-16-be"),
    _guess("de", DE, "utf-32-le"), _guess("zh", ZH, "utf-16-le"),
]  # fmt: skip
DECLARED = [
    _declared("latin2.xml", f'<?xml version="1.0" encoding="ISO-8859-2"?><a>{PL}</a>', "iso8859-2"),
    _declared("koi8.py", f"# -*- coding: koi8-r -*-\n# {RU}", "koi8-r"),
    _declared("sjis.css", f'@charset "shift_jis";\n/* {JA} */', "cp932"),
    Case("mark-8.txt", codecs.BOM_UTF8 + RU.encode(), RU),
    Case("mark-16.txt", RU.encode("utf-16"), RU),
    Case("mark-16be.txt", codecs.BOM_UTF16_BE + JA.encode("utf-16-be"), JA),
    Case("mark-32.txt", DE.encode("utf-32"), DE),
    Case("false.xml", f'<?xml version="1.0" encoding="latin1"?><a>{RU}</a>'.encode(),
         f'<?xml version="1.0" encoding="latin1"?><a>{RU}</a>', "read as the UTF-8 that it is"),
    Case("unknown.py", f"# coding: klingon\n# {DE}".encode(),
         f"# coding: klingon\n# {DE}", "no encoding"),
]  # fmt: skip
_GOOD = [f"Zeile {at}: Grüße" for at in range(25)]
PLAIN = [
    Case("ascii.txt", b"plain words", "plain words"),
    Case("utf8.md", ZH.encode(), ZH),
    Case("crlf.txt", b"one\r\ntwo\rthree\n", "one\ntwo\nthree"),
    Case("one-bad.txt", "\n".join(_GOOD).encode() + b"\ncaf\xe9\n" + "\n".join(_GOOD).encode(),
         "\n".join([*_GOOD, "caf\ufffd", *_GOOD]), f"{BROKEN} by \ufffd in 1 place"),
    Case("cut.txt", (JA + JA).encode()[:-1], f"{JA}{JA[:-1]}\ufffd", BROKEN),
    Case("coffee.txt", b"caf\xe9 au lait", "café au lait", f"{GUESSED}cp1252"),
    Case("ansi.log", b"\x1b[31mred\x1b[0m\nplain", "\x1b[31mred\x1b[0m\nplain"),
    Case("no-suffix", b"words", "words"),
    Case("name with spaces é.txt", b"words of it", "words of it"),
]  # fmt: skip
LEFT_OUT = [
    Case("empty.txt", b"", None, "empty"),
    Case("random.bin", bytes(range(256)) * 8, None, "binary"),
    Case("picture.dat", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40), None, "image"),
    Case(
        "numbers.dat", b"".join(each.to_bytes(4, "little") for each in range(900)), None, "binary"
    ),
    Case(".env", b"KEY=x", None, "hidden"),
    Case(".cache/a.txt", b"x", None, "in a hidden folder"),
    Case("node_modules/p/i.js", b"x", None, "node_modules"),
    Case("build/out.txt", b"x", None, "named by in/.gitignore"),
    Case("debug.log.tmp", b"x", None, "named by in/.gitignore"),
    Case("sub/.gitignore", b"*.gen", None, "hidden"),
    Case("sub/a.gen", b"x", None, "named by in/sub/.gitignore"),
    Case(".gitignore", b"/build/\n*.tmp\n", None, "hidden"),
    Case(os.fsdecode(b"caf\xe9.txt"), b"x", None, "not UTF-8"),
]
FAILED = [
    Case("blank.txt", b" \n\t\n", None, "white space", failed=True),
    Case("long.log", b"2026-11-30 17:00:00.123 worker-17 took 0.0231 s, status 200\n" * 200_000,
         None, "cut it into smaller files", failed=True),
]  # fmt: skip
CASES = [*LEGACY, *DECLARED, *PLAIN, *LEFT_OUT, *FAILED]
