"""Tokens of a text, offline: the byte pairs of CLIP, from the vocabulary in the open_clip package."""

from functools import lru_cache

from wsi_parse.errors import UnknownPromptError

START, END = 49406, 49407


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]  # noqa: ANN202 - a class of an untyped package
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenise(text: str, length: int) -> list[int]:
    """Split a text into tokens, from the start token to the end token.

    Parameters
    ----------
    text : str
    length : int
        Number of tokens that the network reads, including start and end.

    Raises
    ------
    UnknownPromptError
        If there are more, because the end would be cut off silently.

    >>> tokenise("neoplastic cells", 77)
    [49406, 557, 36270, 1561, 8890, 49407]
    """
    tokens = [START, *_tokenizer().encode(text), END]
    if len(tokens) > length:
        raise UnknownPromptError(
            f"The prompt has {len(tokens)} tokens, but the network reads at most {length}.",
            f"Shorten it: {text[:60]!r} …",
        )
    return tokens
