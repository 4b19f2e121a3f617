"""The address of a Dask scheduler: what can be known of it before anything is connected."""

from urllib.parse import urlsplit

# Those that Dask knows; where a scheduler lies in the same process, its address has no port.
_PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx", "ucxx")
_WITHOUT_PORT = "inproc"


def address_problem(address: str) -> str:
    """Say why a text with :// is not the address of a scheduler; empty if it can be one.

    >>> address_problem("tcp://node7:8786"), address_problem("tls://[::1]:8786")
    ('', '')
    >>> address_problem("tcp://node7"), address_problem("http://node7:8787")
    ('it has no port', 'it begins with http://')
    """
    protocol, mark, place = address.partition("://")
    if protocol == _WITHOUT_PORT:
        return ""
    if protocol not in _PROTOCOLS:
        return f"it begins with {protocol[:20]}{mark}"
    try:
        parts = urlsplit(f"//{place}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or its port is not valid"
    if not host:
        return "it has no host"
    if not port:
        return "it has no port" if port is None else "its port is 0"
    if place != parts.netloc or parts.username is not None or not place.isprintable() or " " in place:
        return "it has more than a host and a port"
    return ""
