"""Chinese, Japanese and Korean write many letters of one code in different ways: which way a text is meant."""

import re
from itertools import chain

KANA = re.compile("[\u3041-\u30fa\u31f0-\u31ff\uff66-\uff9d]")
HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb]")
BOPOMOFO = re.compile("[\u3105-\u312f\u31a0-\u31bf]")
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
# Of ten letters of Japanese more than one is Kana; Chinese has one in names of goods.
KANA_SHARE = 0.1


def han_region(text: str) -> str:
    """Return the region whose way of writing a text is meant, by the name that families of fonts have for it: JP, KR,
    TC or SC; "" for a text without such letters."""
    kana, hangul, han = (len(pattern.findall(text)) for pattern in (KANA, HANGUL, HAN))
    if not kana + hangul + han:
        return ""
    if kana > KANA_SHARE * (kana + han) and kana >= hangul:
        return "JP"
    if hangul > KANA_SHARE * (hangul + han):
        return "KR"
    return "TC" if _is_traditional(text) else "SC"


def _is_traditional(text: str) -> bool:
    """Return True if more letters are of Taiwan's alphabet alone (Big5) than of the mainland's (GB 2312)."""
    letters = set(chain.from_iterable(HAN.findall(text)))
    only_big5, only_gb = (
        sum(_fits(letter, one) and not _fits(letter, other) for letter in letters)
        for one, other in (("big5", "gb2312"), ("gb2312", "big5"))
    )
    return BOPOMOFO.search(text) is not None or only_big5 > only_gb


def _fits(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
