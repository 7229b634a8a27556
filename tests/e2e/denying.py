"""Runs a program that may not make some system calls, as in a container with a strict profile.

In: an error's number, the names of the calls, and the command. Out: what the command prints and its exit status. It
imports nothing of the tests.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

#: Numbers of the calls: (x86_64, arm64).
NUMBERS = {
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "seccomp": (317, 277),
    "unshare": (272, 97),
}
#: Words of the kernel's filter language: load the call's number, compare it, and give the answer.
LOAD, EQUAL, ANSWER = 0x20, 0x15, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2


class Word(ctypes.Structure):
    """One instruction of a filter."""

    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint))


class Program(ctypes.Structure):
    """A filter."""

    _fields_ = (("length", ctypes.c_ushort), ("words", ctypes.POINTER(Word)))


def deny(calls: list[str], error: int) -> None:
    """Makes these calls fail with `error`, for this process and what it becomes."""
    column = 0 if platform.machine() == "x86_64" else 1
    words = [Word(LOAD, 0, 0, 0)]
    for call in calls:
        words += [Word(EQUAL, 0, 1, NUMBERS[call][column]), Word(ANSWER, 0, 0, ERROR | error)]
    words.append(Word(ANSWER, 0, 0, ALLOW))
    program = Program(len(words), (Word * len(words))(*words))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0) == 0, os.strerror(ctypes.get_errno())


if __name__ == "__main__":
    deny(sys.argv[2].split(","), int(sys.argv[1]))
    os.execv(sys.argv[3], sys.argv[3:])
