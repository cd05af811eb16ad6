"""The analyser of Korean, kiwipiepy's: one for all that needs it, as its model is large."""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

_lock = threading.Lock()
_analyser: Any = None


def analyser(user: str) -> Any:
    """Return the one `kiwipiepy.Kiwi` of this process; load it if there is none yet.

    Call this each time, and do not keep what it returns: a forked child gets an analyser of its
    own, for the threads of its parent's do not live on in it.

    Args:
        user: Who needs it, for the message of the error: "the tokenizer korean needs".

    Raises:
        ImportError: kiwipiepy is not installed.
    """
    global _analyser
    with _lock:
        if _analyser is None:
            try:
                from kiwipiepy import Kiwi
            except ImportError as error:
                raise ImportError(f"{user} kiwipiepy: pip install 'polyad[align]'") from error
            _analyser = Kiwi()
        return _analyser


def _forget() -> None:
    """Begin anew in a forked child; another thread of the parent may have held the lock."""
    global _analyser, _lock
    if _analyser is not None:
        # One reference too many: it is never destroyed, which would be to wait for its threads.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(_analyser))
    _analyser, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
