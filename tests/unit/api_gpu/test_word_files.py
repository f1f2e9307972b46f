"""Files of words on the command line."""

from pathlib import Path

import pytest
import typer

from api_gpu.cli.operations import flags_of_operation, read_list
from apigpu.options import OPERATIONS


@pytest.mark.parametrize(
    "text",
    [
        '[{"text": "a", "start": %s, "end": 1}]' % ("9" * 400),
        "[" * 100_000,
        "{",
        "5",
        '[{"word": "a"}]',
        '[{"text": "a", "start": 0}]',
    ],
    ids=["large", "deep", "cut off", "a number", "no times", "no end"],
)
def test_what_holds_no_words_is_told_with_what_would(tmp_path: Path, text: str) -> None:
    flag = next(flag for flag in flags_of_operation(OPERATIONS["caption"]) if flag.option.flag == "words")
    (tmp_path / "words.json").write_text(text)
    with pytest.raises(typer.BadParameter, match="must hold a list of"):
        read_list(flag, tmp_path / "words.json")
