"""CompiledTemplates: templates are compiled once, and kept where Python keeps what it compiled of the module beside."""

import os
import pickle
import sys
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class CompiledTemplates(BytecodeCache):
    """Keeps compiled templates as Python keeps compiled modules.

    Compiling those of a page takes as long as drawing what is on it. Whoever may write to this folder may change the
    modules in it, too. A template that was changed is compiled again, and so is one of another version of Python or
    Jinja. Where Python may not write, or is told not to, nothing is kept.
    """

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a compiled template, if there is one that fits."""
        with suppress(OSError):
            try:
                bucket.bytecode_from_string(_path(bucket).read_bytes())
            except (EOFError, ValueError, TypeError, pickle.UnpicklingError):
                bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a compiled template; another process may do the same."""
        if sys.dont_write_bytecode:
            return
        path = _path(bucket)
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            mine.write_bytes(bucket.bytecode_to_string())
            mine.replace(path)


def _path(bucket: Bucket) -> Path:
    return Path(cache_from_source(__file__)).with_name(f"template-{bucket.key}.jinja")
