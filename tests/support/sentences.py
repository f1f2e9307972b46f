"""Sentences in scripts that HarfBuzz shapes, with the font that draws them whole."""

from dataclasses import dataclass

CJK = "NotoSansCJK-VF.otf.ttc"


@dataclass(frozen=True)
class Sentence:
    """A text, the bundled file whose font draws all of it, and the font's number in a collection."""

    font: str
    text: str
    number: int = 0


SENTENCES = {
    "arabic": Sentence("NotoSansArabic", "مرحبا بكم في العالم"),
    "arabic-vowels": Sentence("NotoSansArabic", "مُحَمَّدٌ لا إله"),
    "persian": Sentence("NotoSansArabic", "می‌خواهم خانه‌ها"),
    "urdu": Sentence("NotoSansArabic", "پاکستان میں ٹھیک ہے"),
    "hebrew": Sentence("NotoSansHebrew", "שלום לכולם"),
    "hebrew-points": Sentence("NotoSansHebrew", "שָׁלוֹם בְּרֵאשִׁית"),
    "hindi": Sentence("NotoSansDevanagari", "नमस्ते क्षत्रिय हिन्दी"),
    "hindi-joiners": Sentence("NotoSansDevanagari", "क्‍ष क्ष शक्‌ति दर्‍या"),
    "bengali": Sentence("NotoSansBengali", "লোক কৌশল ভালো শ্রী"),
    "tamil": Sentence("NotoSansTamil", "கொண்டு போ கௌரவம்"),
    "malayalam": Sentence("NotoSansMalayalam", "കൊച്ചി മോഹൻ ക്ഷ"),
    "kannada": Sentence("NotoSansKannada", "ಕೊಡು ಹೋಗು ಕ್ಷೇತ್ರ"),
    "telugu": Sentence("NotoSansTelugu", "నమస్తే కైలాస క్షేత్రం"),
    "gujarati": Sentence("NotoSansGujarati", "કોણ ગૌરવ ક્ષત્રિય"),
    "punjabi": Sentence("NotoSansGurmukhi", "ਪੰਜਾਬੀ ਸ਼੍ਰੀ ਗੁਰਮੁਖੀ"),
    "odia": Sentence("NotoSansOriya", "ଓଡ଼ିଆ କୋଣ ଶ୍ରୀ"),
    "sinhala": Sentence("NotoSansSinhala", "ශ්‍රී ලංකාව කොළඹ ක්‍ෂ"),
    "thai": Sentence("NotoSansThai", "ทำ น้ำ คำ สำคัญ ที่นี่"),
    "lao": Sentence("NotoSansLao", "ນ້ຳ ຄຳ ສະບາຍດີ"),
    "khmer": Sentence("NotoSansKhmer", "សួស្តី ធ្វើ កោះ ខ្មែរ"),
    "burmese": Sentence("NotoSansMyanmar", "ကို ကြောင့် မြန်မာ"),
    "amharic": Sentence("NotoSansEthiopic", "ሰላም ኢትዮጵያ"),
    "georgian": Sentence("NotoSansGeorgian", "გამარჯობა"),
    "armenian": Sentence("NotoSansArmenian", "Բարեւ և"),
    "chinese": Sentence(CJK, "你好世界汉字"),
    "japanese": Sentence(CJK, "こんにちは世界か゚"),
    "korean": Sentence(CJK, "안녕하세요 ᄒᆞᆫ글", 1),
    "emoji": Sentence("NotoEmoji", "😀🚀🎉❤"),
    "emoji-joined": Sentence("NotoEmoji", "👨‍👩‍👧‍👦👩🏽‍🚀👍🏿❤️‍🔥🏳️‍🌈"),
    "emoji-tagged": Sentence("NotoEmoji", "🇩🇪🇧🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿1️⃣#️⃣"),
}
