"""Which NVIDIA cards can encode video, and how many encoders their chips have.

Source: NVIDIA's "Video Encode and Decode GPU Support Matrix". Names are those that Vast.ai gives them ("RTX 4090",
"H100 SXM", "Tesla T4"); its offers do not tell of NVENC at all.
"""

# Chips for computing, and for mining, have no encoder: the first word of their names.
WITHOUT_NVENC = (
    *("A100", "A100X", "A800", "A30", "A30X", "H100", "H100X", "H800", "H20", "H200", "GH100", "GH200"),
    *("B100", "B200", "B300", "GB200", "GB300", "CMP"),
)
# Names that share their first word with cards that have one.
ALSO_WITHOUT = frozenset({"GT 1010", "GT 1030"})

# Encoders of a chip; one that is not named has one.
ENGINES = {
    "RTX PRO 6000": 4,
    "RTX 5090": 3,
    "RTX 5080": 2,
    "RTX 5070 Ti": 2,
    "RTX 4090": 2,
    "RTX 4080": 2,
    "RTX 4070 Ti": 2,
    "RTX 6000Ada": 3,
    "RTX 5000Ada": 2,
    "RTX 4500Ada": 2,
    "RTX 4000Ada": 2,
    "L40S": 3,
    "L40": 3,
    "L4": 2,
    "V100": 3,
    "P100": 3,
    "P40": 2,
    "Titan V": 3,
    "GTX 1080": 2,
    "GTX 1070": 2,
}


def can_encode(card: str) -> bool:
    """Whether the card has NVENC, as far as its name tells."""
    name = _plain(card)
    return name.split(" ")[0] not in WITHOUT_NVENC and name not in ALSO_WITHOUT


def engines(card: str) -> int:
    """How many streams the card's chip encodes side by side."""
    name = _plain(card)
    known = [count for start, count in ENGINES.items() if name == start or name.startswith(f"{start} ")]
    return max(known, default=1)


def _plain(card: str) -> str:
    return card.replace("_", " ").removeprefix("Tesla ").removeprefix("NVIDIA ").replace(" Ada", "Ada").strip()
