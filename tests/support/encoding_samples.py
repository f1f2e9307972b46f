"""Write subtitles in the encodings that they are found in: sentences of many languages, written for this."""

import unicodedata
from dataclasses import dataclass

TONES = "\u0300\u0301\u0303\u0309\u0323"
# Language to codecs of its old files, and lines of captions.
LANGUAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Russian": (
        ("cp1251", "koi8-r", "cp866", "iso8859-5"),
        (
            "Привет, как твои дела?",
            "Я не знаю, что тебе сказать.",
            "Мы опоздали на последний поезд.",
            "Где ты была всю ночь, Маша?",
            "Закройте дверь, здесь очень холодно!",
            "Это был самый долгий день в моей жизни.",
        ),
    ),
    "Ukrainian": (
        ("cp1251", "koi8-u"),
        (
            "Привіт, як справи?",
            "Я її ще ніколи не бачив.",
            "Ми запізнилися на потяг, ходімо пішки.",
            "Чому ти мені нічого не сказав?",
            "Зачиніть двері, тут дуже холодно!",
        ),
    ),
    "Bulgarian": (
        ("cp1251",),
        (
            "Здравей, как си днес?",
            "Не знам какво да ти кажа.",
            "Изпуснахме последния влак за София.",
            "Къде беше цялата нощ?",
            "Затворете вратата, тук е много студено!",
        ),
    ),
    "Serbian": (
        ("cp1251",),
        (
            "Здраво, како си данас?",
            "Не знам шта да ти кажем.",
            "Закаснили смо на последњи воз.",
            "Где си био целу ноћ, Ђорђе?",
            "Затворите врата, овде је јако хладно!",
        ),
    ),
    "Polish": (
        ("cp1250", "iso8859-2", "cp852"),
        (
            "Cześć, jak się masz?",
            "Nie wiem, co ci powiedzieć.",
            "Spóźniliśmy się na ostatni pociąg.",
            "Gdzie byłaś przez całą noc?",
            "Zamknijcie drzwi, tu jest bardzo zimno, proszę!",
            "To był najdłuższy dzień w moim życiu.",
        ),
    ),
    "Czech": (
        ("cp1250", "iso8859-2"),
        (
            "Ahoj, jak se máš?",
            "Nevím, co ti mám říct.",
            "Zmeškali jsme poslední vlak.",
            "Kde jsi byla celou noc, Šárko?",
            "Zavřete dveře, je tu příšerná zima!",
            "Žádný strach, všechno bude v pořádku.",
        ),
    ),
    "Slovak": (
        ("cp1250",),
        (
            "Ahoj, ako sa máš?",
            "Neviem, čo ti mám povedať.",
            "Zmeškali sme posledný vlak.",
            "Kde si bola celú noc? Ľudia ťa hľadali.",
            "Zatvorte dvere, je tu hrozná zima!",
        ),
    ),
    "Hungarian": (
        ("cp1250", "iso8859-2"),
        (
            "Szia, hogy vagy?",
            "Nem tudom, mit mondjak neked.",
            "Lekéstük az utolsó vonatot, gyalog megyünk.",
            "Hol voltál egész éjszaka?",
            "Csukjátok be az ajtót, nagyon hideg van itt! Őrült idő.",
            "Ez volt életem leghosszabb napja, esküszöm.",
        ),
    ),
    "Romanian": (
        ("cp1250", "iso8859-2"),
        (
            "Bună, ce mai faci?",
            "Nu ştiu ce să-ţi spun.",
            "Am pierdut ultimul tren spre casă.",
            "Unde ai fost toată noaptea?",
            "Închideţi uşa, este foarte frig aici!",
        ),
    ),
    "Croatian": (
        ("cp1250",),
        (
            "Bok, kako si?",
            "Ne znam što da ti kažem.",
            "Zakasnili smo na posljednji vlak.",
            "Gdje si bio cijelu noć, Đuro?",
            "Zatvorite vrata, ovdje je jako hladno! Žao mi je, večeras ništa.",
        ),
    ),
    "French": (
        ("cp1252", "iso8859-15", "cp850"),
        (
            "Où étais-tu passé hier soir ?",
            "Je ne sais pas quoi te dire, mon chéri.",
            "Nous avons raté le dernier train, c'est fâcheux.",
            "Ça ne m'étonne pas, tu es toujours en retard.",
            "Fermez la fenêtre, il fait très froid ici !",
        ),
    ),
    "German": (
        ("cp1252",),
        (
            "Grüß dich, wie geht's?",
            "Ich weiß nicht, was ich dir sagen soll.",
            "Wir haben den letzten Zug verpasst, schade für uns.",
            "Wo warst du die ganze Nacht über?",
            "Macht die Tür zu, hier ist es fürchterlich kalt!",
            "Das wäre schön, aber können wir uns das leisten?",
        ),
    ),
    "Spanish": (
        ("cp1252",),
        (
            "¿Cómo estás, señor?",
            "No sé qué decirte, mamá.",
            "Perdimos el último tren, qué lástima.",
            "¿Dónde estuviste toda la noche?",
            "¡Cierren la puerta, aquí hace muchísimo frío, niños!",
        ),
    ),
    "Portuguese": (
        ("cp1252",),
        (
            "Olá, tudo bem com você?",
            "Não sei o que te dizer.",
            "Perdemos o último comboio da estação.",
            "Onde é que vocês estavam à noite?",
            "Fechem a porta, está muito frio, não acham? Então é isso, irmão.",
        ),
    ),
    "Swedish": (
        ("cp1252",),
        (
            "Hej, hur mår du?",
            "Jag vet inte vad jag ska säga.",
            "Vi missade sista tåget hem, så vi får gå.",
            "Var har du varit hela natten?",
            "Stäng dörren, det är förfärligt kallt här!",
        ),
    ),
    "Turkish": (
        ("cp1254", "iso8859-9"),
        (
            "Merhaba, nasılsın?",
            "Sana ne söyleyeceğimi bilmiyorum.",
            "Son treni kaçırdık, yürümemiz gerekiyor.",
            "Bütün gece neredeydin, Ayşe?",
            "Kapıyı kapatın, burası çok soğuk! İstanbul'da kış böyle.",
        ),
    ),
    "Greek": (
        ("cp1253", "iso8859-7"),
        (
            "Γεια σου, τι κάνεις;",
            "Δεν ξέρω τι να σου πω.",
            "Χάσαμε το τελευταίο τρένο για την Αθήνα.",
            "Πού ήσουν όλη τη νύχτα;",
            "Κλείστε την πόρτα, κάνει πολύ κρύο εδώ!",
        ),
    ),
    "Hebrew": (
        ("cp1255", "iso8859-8"),
        (
            "שלום, מה שלומך היום?",
            "אני לא יודע מה להגיד לך.",
            "איחרנו את הרכבת האחרונה.",
            "איפה היית כל הלילה?",
            "סגרו את הדלת, קר כאן מאוד!",
        ),
    ),
    "Arabic": (
        ("cp1256", "iso8859-6"),
        (
            "مرحبا، كيف حالك اليوم؟",
            "لا أعرف ماذا أقول لك.",
            "لقد فاتنا القطار الأخير.",
            "أين كنت طوال الليل؟",
            "أغلقوا الباب، الجو بارد جدا هنا!",
        ),
    ),
    "Lithuanian": (
        ("cp1257",),
        (
            "Labas, kaip tau sekasi?",
            "Nežinau, ką tau pasakyti.",
            "Pavėlavome į paskutinį traukinį.",
            "Kur tu buvai visą naktį?",
            "Uždarykite duris, čia labai šalta! Ačiū, viskas gerai, mieloji.",
        ),
    ),
    "Latvian": (
        ("cp1257",),
        (
            "Sveiki, kā tev klājas?",
            "Es nezinu, ko tev teikt.",
            "Mēs nokavējām pēdējo vilcienu.",
            "Kur tu biji visu nakti?",
            "Aizveriet durvis, šeit ir ļoti auksts! Lūdzu, nāc šurp.",
        ),
    ),
    "Vietnamese": (
        ("cp1258",),
        (
            "Bạn có khỏe không?",
            "Tôi không biết nói gì với bạn.",
            "Chúng ta đã lỡ chuyến tàu cuối cùng.",
            "Cả đêm qua em đã ở đâu?",
            "Đóng cửa lại đi, ở đây lạnh quá!",
        ),
    ),
    "Thai": (
        ("cp874",),
        (
            "สวัสดี สบายดีไหม",
            "ฉันไม่รู้จะบอกคุณว่าอะไร",
            "เราตกรถไฟเที่ยวสุดท้าย",
            "เมื่อคืนคุณไปอยู่ที่ไหนมา",
            "ปิดประตูหน่อย ที่นี่หนาวมาก",
        ),
    ),
    "Chinese": (
        ("gb18030", "gbk"),
        (
            "你好，最近怎么样？",
            "我不知道该跟你说什么。",
            "我们错过了最后一班火车。",
            "你昨天晚上去哪里了？",
            "快把门关上，这里太冷了！",
        ),
    ),
    "Taiwanese": (
        ("big5",),
        (
            "你好，最近過得怎麼樣？",
            "我不知道該跟你說什麼。",
            "我們錯過了最後一班火車。",
            "你昨天晚上去哪裡了？",
            "快把門關上，這裡太冷了！",
        ),
    ),
    "Japanese": (
        ("cp932", "euc-jp", "iso2022-jp"),
        (
            "こんにちは、お元気ですか。",
            "何と言えばいいのか分からない。",
            "最終電車に乗り遅れてしまった。",
            "昨日の夜はどこにいたの？",
            "ドアを閉めて、ここはとても寒いよ！",
        ),
    ),
    "Korean": (
        ("cp949", "iso2022-kr"),
        (
            "안녕하세요, 잘 지내셨어요?",
            "너한테 무슨 말을 해야 할지 모르겠어.",
            "우리는 막차를 놓쳤습니다.",
            "어젯밤에 어디 있었어?",
            "문 좀 닫아 주세요, 여기 너무 추워요!",
        ),
    ),
}


@dataclass(frozen=True)
class Sample:
    """A file of subtitles in an encoding; `text` is what it says."""

    name: str
    text: str
    data: bytes


def samples(cues: int) -> list[Sample]:
    """Return a file of so many cues for each language and encoding."""
    made = []
    for language, (codecs, lines) in LANGUAGES.items():
        text = "".join(
            f"{number + 1}\n00:00:{number:02},000 --> 00:00:{number:02},900\n{lines[number % len(lines)]}\n\n"
            for number in range(cues)
        )
        made += [Sample(f"{language} in {codec}, {cues} cues", text, encode(text, codec)) for codec in codecs]
    return made


def one_line_samples() -> list[tuple[str, bytes]]:
    """Return the text of each line that has letters beyond ASCII, and a file of it alone, in each of its encodings."""
    return [
        (line, encode(f"1\n00:00:01,000 --> 00:00:02,000\n{line}\n", codec))
        for codecs, lines in LANGUAGES.values()
        for line in lines
        if not line.isascii()
        for codec in codecs
    ]


def encode(text: str, codec: str) -> bytes:
    """Return a text in an encoding."""
    if codec != "cp1258":
        return text.encode(codec)
    # Vietnamese marks of tone stand after their letter there.
    parts = []
    for letter in text:
        apart = unicodedata.normalize("NFD", letter)
        tone = "".join(mark for mark in apart if mark in TONES)
        parts.append(unicodedata.normalize("NFC", "".join(mark for mark in apart if mark not in TONES)) + tone)
    return "".join(parts).encode(codec)
