"""What the library complains of, and what that means for people. Its own words, which name paths and functions, go to
the log."""

import re

FULL = "all sessions of the card are taken; end other programs that encode, or have the encoder do less at once"
NO_ENCODER = "this chip has no encoder, as A100 and H100 have none; take a card with NVENC"
OUT_OF_MEMORY = (
    "the card's memory is full; have the encoder do less at once (BATCH_SIZE), or end other programs that use the card"
)
LOST = "the card or its driver is lost; see the encoder's log and dmesg, and restart the machine if it stays so"
NOT_ENCODED = "the card could not encode a frame; see the encoder's log"
UNKNOWN = "the card, its driver or PyNvVideoCodec failed; see the encoder's log"

# "Out of memory" of older drivers and "incompatible client key" of newer ones: what a GeForce says at its limit.
AT_LIMIT = re.compile(r"nvEncOpenEncodeSessionEx.* returned error (10|21)\b")
TABLE = {
    AT_LIMIT.pattern: FULL,
    r"nvEncOpenEncodeSessionEx.* returned error 2\b": NO_ENCODER,
    r"CUDA_ERROR_OUT_OF_MEMORY|returned error 10\b": OUT_OF_MEMORY,
    r"CUDA_ERROR_(UNKNOWN|NO_DEVICE|ILLEGAL|LAUNCH|ECC|HARDWARE|CONTEXT_IS_DESTROYED)|returned error [1345]\b": LOST,
    r"nvEncEncodePicture|nvEncLockBitstream": NOT_ENCODED,
}
"""Pattern in the library's words to what it means; the first that is found counts. Numbers: NVENCSTATUS in
nvEncodeAPI.h."""


def meaning(words: str) -> str:
    """What the library's words mean."""
    return next((text for pattern, text in TABLE.items() if re.search(pattern, words)), UNKNOWN)
