"""Words to tokens, offline: CLIP's byte pairs, from the vocabulary that the open_clip package carries."""

from functools import lru_cache

from wsi_parse.errors import UnknownPromptError

START, END = 49406, 49407


@lru_cache(maxsize=1)
def _tokenizer():  # type: ignore[no-untyped-def]  # noqa: ANN202 - a class of an untyped package
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenise(text: str, length: int) -> list[int]:
    """Cut a text into tokens, from the start token to the end token.

    Parameters
    ----------
    text : str
    length : int
        Tokens that the network reads, start and end included.

    Raises
    ------
    UnknownPromptError
        Where there are more: the end would be cut off in silence.

    >>> tokenise("neoplastic cells", 77)
    [49406, 557, 36270, 1561, 8890, 49407]
    """
    tokens = [START, *_tokenizer().encode(text), END]
    if len(tokens) > length:
        raise UnknownPromptError(
            f"The prompt has {len(tokens)} tokens; {length} are read.", f"Shorten it: {text[:60]!r} …"
        )
    return tokens
