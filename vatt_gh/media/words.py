"""Splits captions into words, by the rule of the input pipeline's tokenizer."""

import string

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def split_words(text: str) -> list[str]:
    """Removes ASCII punctuation (without replacement), lowercases, splits at white space."""
    return text.translate(_PUNCTUATION).lower().split()
