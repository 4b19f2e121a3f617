"""The notice that every output carries, and how text from outside is escaped for each place that it goes to.

Names of slides, ids, classes, prompts and cells of a list come from outside. A name may hold what moves the cursor of a
terminal, a formula, or markup: there is one function for each place, and each keeps ordinary text as it is.
"""

import html
import re
import unicodedata

RESEARCH_ONLY = "research use only, not for clinical decisions"
#: The same as a sentence.
RESEARCH_ONLY_SENTENCE = f"{RESEARCH_ONLY.capitalize()}."

# Controls, formats that change the direction or the width of what follows, surrogates that stand alone, line breaks.
_HARMFUL_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = re.compile(r"\s*[=+\-@]")
_BREAK = re.compile(r"[\t\r\n\v\f\x85\u2028\u2029]+")
_NUMBER = re.compile(r"-?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~<>&$^]|(?<=\d)\.(?=\s)|^-)")


def for_terminal(text: object) -> str:
    r"""Make text from outside safe to print in one line: what would control the terminal is shown as an escape.

    >>> for_terminal("a\x1b[31mb\u202ec\nd")
    'a\\x1b[31mb\\u202ec\\nd'
    >>> for_terminal("Größe 5 µm")
    'Größe 5 µm'
    """
    shown = str(text)
    # What Python calls printable holds nothing harmful.
    return shown if shown.isprintable() else "".join(map(_visible, shown))


def for_csv(text: object, *, keep_numbers: bool = True) -> str:
    r"""Make text from outside safe for a table: a cell that a spreadsheet would run as a formula gets an apostrophe.

    A negative number is no formula, where `keep_numbers` is true.

    >>> for_csv('=HYPERLINK("x")'), for_csv("-1.5"), for_csv("+49 171")
    ('\'=HYPERLINK("x")', '-1.5', "'+49 171")
    """
    shown = _in_one_line(text)
    is_number = keep_numbers and _NUMBER.fullmatch(shown.strip())
    is_formula = _FORMULA.match(shown) and not is_number
    return f"'{shown}" if is_formula else shown


def for_markdown(text: object) -> str:
    r"""Make text from outside safe for a line or a table cell of Markdown.

    >>> for_markdown("a|b <img src=x onerror=alert(1)> *c*")
    'a\\|b \\<img src=x onerror=alert\\(1\\)\\> \\*c\\*'
    """
    return _MARKDOWN.sub(r"\\\1", _in_one_line(text))


def for_html(text: object) -> str:
    """Make text from outside safe for the text and for the quoted attributes of HTML.

    >>> for_html('<img alt="x">')
    '&lt;img alt=&quot;x&quot;&gt;'
    """
    return html.escape(for_terminal(text), quote=True)


def _in_one_line(text: object) -> str:
    return for_terminal(_BREAK.sub(" ", str(text)))


def _visible(letter: str) -> str:
    if letter == " " or unicodedata.category(letter) not in _HARMFUL_CATEGORIES:
        return letter
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
