"""Lets a plug-in fail where WSI_PARSE_EXAMPLE_FAILS says so."""

import os


class OddError(Exception):
    """Cannot be sent to another process: it is made with two values, and remembers one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def fail(where: str) -> None:
    named = os.environ.get("WSI_PARSE_EXAMPLE_FAILS", "")
    if named == where:
        raise ZeroDivisionError("division by zero")
    if named == f"{where}-oddly":
        raise OddError("an odd ", "error")
