"""Words of a caption, by the rule that the input pipeline's tokenizer has too."""

import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def split_words(text: str) -> list[str]:
    """Splits a caption: ASCII punctuation is removed (not replaced), lower case, at spaces."""
    return text.translate(_PUNCTUATION).lower().split()
