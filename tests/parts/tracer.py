"""Follows a program's durable steps, and strikes at one of them: the machinery under every test of a sudden death.

    python tests/parts/tracer.py PLAN COMMAND...

COMMAND keeps this process's id. Beside it runs a tracer (`ptrace`, with a seccomp filter so that only what changes the
disk, the log or a connection stops). Each such call is a *step* with a name that is the same in every run:

    daemon fsync incoming/amperity/<id>
    daemon log delivery.sent
    rewrite write exports/sirendenim/<export>/rewrite-<id>/drafts/1.csv
    daemon send upstream

PLAN is JSON: `root` (paths below it are steps), `report` (a file: one line for each step met, with how often that name
came before), and what to do at which step:

    strike    null, or {"step": name, "nth": from 1, "after": bool, "victims": ["daemon", "rewrite"]}: SIGKILL;
              or {"number": n}: SIGKILL of the daemon before the n-th of all steps
    fault     null, or {"step": regular expression, "error": "EIO", "nth": from which on, "times": how many, null for
              all, "while": a file that must exist}: the call fails instead of being made

Writes to one file that follow each other are one step: a kill "before" it is before the first of them, "after" it when
the first is done, so that the file is torn. Only Linux has this, and only x86-64 and 64-bit ARM are known here.
"""

import ctypes
import errno
import json
import os
import platform
import re
import signal
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_LIBC.ptrace.restype = ctypes.c_long

_CONT, _SYSCALL, _LISTEN, _SEIZE, _GET_SYSCALL_INFO, _POKEUSER = 7, 24, 0x4208, 0x4206, 0x420E, 6
# TRACESYSGOOD, TRACEFORK, TRACEVFORK, TRACECLONE, TRACEEXEC, TRACESECCOMP, EXITKILL
_OPTIONS: Final = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_WALL: Final = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_PTRACER, _PR_SET_SECCOMP = 38, 0x59616D61, 22

_ARCHITECTURES: Final = {
    "x86_64": (
        0xC000003E,
        {
            "write": 1, "open": 2, "pwrite64": 18, "writev": 20, "sendfile": 40, "sendto": 44, "sendmsg": 46,
            "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "rename": 82, "mkdir": 83, "rmdir": 84,
            "link": 86, "unlink": 87, "symlink": 88, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264,
            "linkat": 265, "symlinkat": 266, "fallocate": 285, "pwritev": 296, "renameat2": 316,
            "inotify_add_watch": 254, "copy_file_range": 326, "pwritev2": 328,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "inotify_add_watch": 27,
            "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "truncate": 45,
            "ftruncate": 46, "fallocate": 47, "openat": 56, "write": 64, "writev": 66, "pwrite64": 68, "pwritev": 70,
            "sendfile": 71, "fsync": 82, "fdatasync": 83, "sendto": 206, "sendmsg": 211, "renameat2": 276,
            "copy_file_range": 285, "pwritev2": 287,
        },
    ),
}  # fmt: skip
"""What the kernel calls the calls that change something, by machine."""

_MACHINE: Final = platform.machine()
_AUDIT_ARCH, _NUMBERS = _ARCHITECTURES.get(_MACHINE, (0, {}))
_NAMES: Final = {number: name for name, number in _NUMBERS.items()}

_WRITES: Final = {"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range"}
_BY_DESCRIPTOR: Final = {
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile"), 0),
    **dict.fromkeys(("fsync", "fdatasync", "ftruncate", "fallocate", "sendto", "sendmsg"), 0),
    "copy_file_range": 2,
}
_BY_PATH: Final = {
    **dict.fromkeys(("open", "truncate", "rename", "mkdir", "rmdir", "link", "unlink"), ((None, 0),)),
    **dict.fromkeys(("openat", "mkdirat", "unlinkat"), ((0, 1),)),
    **dict.fromkeys(("rename", "link"), ((None, 0), (None, 1))),
    **dict.fromkeys(("renameat", "renameat2", "linkat"), ((0, 1), (2, 3))),
    "symlink": ((None, 1),),
    "inotify_add_watch": ((None, 1),),
    "symlinkat": ((1, 2),),
}
"""Which arguments name the files: a directory's descriptor, if there is one, and a path."""

_CHANGING: Final = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}"), "<export>"),
    (re.compile(r"(?<![a-z])[0-9a-f]{6,}(?![a-z])"), "<id>"),
)
"""What differs from run to run in a name."""


def is_supported() -> bool:
    """Say whether this machine is one of those known here."""
    return sys.platform == "linux" and _MACHINE in _ARCHITECTURES


def can_fail_calls() -> bool:
    """Say whether calls can be made to fail here."""
    return sys.platform == "linux" and _MACHINE == "x86_64"


@dataclass
class _Traced:
    """One thread that is followed."""

    process: int
    role: str
    last: str = ""
    at_exit: str = ""
    injected: int = 0
    peers: dict[str, str] = field(default_factory=dict)


class Tracer:
    """Follows `target` and everything that it starts."""

    def __init__(self, plan: dict[str, Any], target: int) -> None:
        self._target = target
        self._root = os.path.realpath(plan["root"]) + "/"
        self._strike: dict[str, Any] = plan.get("strike") or {}
        self._fault: dict[str, Any] = plan.get("fault") or {}
        self._fault_at = re.compile(self._fault["step"]) if self._fault else None
        self._failed = 0
        self._report = os.open(plan["report"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._threads: dict[int, _Traced] = {}
        self._met: Counter[str] = Counter()

    def seize(self) -> None:
        """Begin to follow."""
        _ptrace(_SEIZE, self._target, 0, _OPTIONS)
        self._threads[self._target] = _Traced(self._target, "daemon")

    def run(self) -> None:
        """Follow until nobody is left."""
        while self._threads:
            thread, status = os.waitpid(-1, _WALL)
            if os.WIFSTOPPED(status):
                self._resume(thread, status)
            else:
                self._threads.pop(thread, None)

    def _resume(self, thread: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            traced = self._threads.get(thread) or self._meet(thread)
            if event == _EVENT_SECCOMP:
                _ptrace(_SYSCALL if self._enter(thread, traced) else _CONT, thread)
            elif number == _SYSCALL_STOP:
                self._leave(thread, traced)
                _ptrace(_CONT, thread)
            elif event == _EVENT_STOP and number in {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}:
                _ptrace(_LISTEN, thread)
            else:
                _ptrace(_CONT, thread, 0, 0 if event else number)
        except ProcessLookupError:
            return  # It died while it stood still; its end is reported next.

    def _meet(self, thread: int) -> _Traced:
        process = _process_of(thread)
        traced = self._threads[thread] = _Traced(process, "daemon" if process == self._target else "")
        return traced

    def _enter(self, thread: int, traced: _Traced) -> bool:
        """Act on a call that is about to be made, and say whether to look at its return."""
        name, arguments = _call(thread)
        step = self._step(thread, traced, name, arguments)
        if step is None:
            return False
        if name == "inotify_add_watch" and not self._is_to_fail(step):
            return False  # Nothing on the disk changes by it.
        in_burst = name in _WRITES and traced.last == step and " log " not in step
        traced.last = step
        if not in_burst:
            self._met[step] += 1
            os.write(self._report, f"{json.dumps([step, self._met[step]])}\n".encode())
        if self._is_to_fail(step):
            traced.injected = getattr(errno, self._fault["error"])
            _poke(thread, _ORIG_RAX, -1)
            return True
        if in_burst or not self._is_struck(step):
            return False
        if self._strike.get("after"):
            traced.at_exit = step
            return True
        self._kill(traced)
        return False

    def _leave(self, thread: int, traced: _Traced) -> None:
        if traced.injected:
            _poke(thread, _RAX, -traced.injected)
            traced.injected = 0
        if traced.at_exit:
            traced.at_exit = ""
            self._kill(traced)

    def _is_struck(self, step: str) -> bool:
        strike = self._strike
        if not strike:
            return False
        if "number" in strike:
            return bool(strike["number"] == self._met.total())
        return bool(strike["step"] == step and strike["nth"] == self._met[step])

    def _is_to_fail(self, step: str) -> bool:
        fault = self._fault
        if self._fault_at is None or not self._fault_at.fullmatch(step):
            return False
        if "while" in fault and not Path(fault["while"]).exists():
            return False
        self._failed += 1
        first = fault.get("nth", 1)
        times = fault.get("times")
        return self._failed >= first and (times is None or self._failed < first + times)

    def _kill(self, traced: _Traced) -> None:
        for victim in self._strike.get("victims", ("daemon",)):
            process = self._target if victim == "daemon" else traced.process
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _step(self, thread: int, traced: _Traced, name: str, arguments: tuple[int, ...]) -> str | None:
        """Return the name of the step that a call is, None for what changes nothing that is looked at here."""
        if name in _BY_DESCRIPTOR:
            number = ctypes.c_int(arguments[_BY_DESCRIPTOR[name]]).value
            if number == 2:
                return self._logging(thread, traced, name, arguments)
            at = _descriptor(thread, number)
            if at.startswith("socket:"):
                return self._sending(traced, thread, at)
            places = [at]
        else:
            places = [self._path(thread, arguments, *where) for where in _BY_PATH[name]]
        if not all(f"{place}/".startswith(self._root) for place in places):
            return None
        shown = " ".join(_lasting(place[len(self._root) :] or ".") for place in places)
        return f"{self._role(traced)} {name} {shown}"

    def _path(self, thread: int, arguments: tuple[int, ...], directory: int | None, path: int) -> str:
        named = _text(thread, arguments[path])
        if named.startswith("/"):
            return os.path.normpath(named)
        here = -100 if directory is None else ctypes.c_int(arguments[directory]).value
        base = str(Path(f"/proc/{thread}/cwd").readlink()) if here == -100 else _descriptor(thread, here)
        return os.path.normpath(f"{base}/{named}")

    def _logging(self, thread: int, traced: _Traced, name: str, arguments: tuple[int, ...]) -> str | None:
        if name != "write" or self._role(traced) != "daemon":
            return None
        found = re.search(rb'"event": "([a-z_.]+)"', _bytes(thread, arguments[1], min(arguments[2], 4096)))
        return f"daemon log {found[1].decode()}" if found else None

    def _sending(self, traced: _Traced, thread: int, socket: str) -> str | None:
        peer = traced.peers.get(socket) or _peer(thread, socket)
        traced.peers[socket] = peer
        return f"{self._role(traced)} send {peer}" if peer != "nobody" else None

    def _role(self, traced: _Traced) -> str:
        if not traced.role:
            command = Path(f"/proc/{traced.process}/cmdline").read_bytes()
            if b"relay.rewrite" not in command:
                return "child"  # It has not become what it is to be.
            traced.role = "rewrite"
        return traced.role


_ORIG_RAX, _RAX = 15 * 8, 10 * 8


def _ptrace(request: int, thread: int, address: int = 0, data: int = 0) -> int:
    result: int = _LIBC.ptrace(request, thread, address, data)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _poke(thread: int, offset: int, value: int) -> None:
    _ptrace(_POKEUSER, thread, offset, value & 0xFFFFFFFFFFFFFFFF)


def _call(thread: int) -> tuple[str, tuple[int, ...]]:
    info = ctypes.create_string_buffer(88)
    _ptrace(_GET_SYSCALL_INFO, thread, len(info), ctypes.addressof(info))
    number, *arguments = struct.unpack_from("7Q", info, 24)
    return _NAMES[number], tuple(arguments)


def _process_of(thread: int) -> int:
    status = Path(f"/proc/{thread}/status").read_text(encoding="utf-8")
    return int(status.partition("\nTgid:")[2].split()[0])


def _descriptor(thread: int, number: int) -> str:
    try:
        return str(Path(f"/proc/{thread}/fd/{ctypes.c_int(number).value}").readlink())
    except FileNotFoundError:
        return ""


def _bytes(thread: int, address: int, length: int) -> bytes:
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(length)


def _text(thread: int, address: int) -> str:
    # A page at most at a time: the one behind it may not be there.
    found = b""
    while b"\0" not in found:
        found += _bytes(thread, address + len(found), 4096 - (address + len(found)) % 4096)
    return os.fsdecode(found.partition(b"\0")[0])


def _peer(thread: int, socket: str) -> str:
    """Say who is at the other end of a connection: a client came to us, the upstream is whom we went to."""
    inode = socket.removeprefix("socket:[").removesuffix("]")
    rows = [line.split() for line in Path(f"/proc/{thread}/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A"}
    for row in rows:
        if row[9] == inode:
            return "client" if row[1] in listening else "upstream"
    return "nobody"


def _lasting(name: str) -> str:
    for pattern, instead in _CHANGING:
        name = pattern.sub(instead, name)
    return name


def _install_filter() -> None:
    """Have the calls in `_NUMBERS` stop for the tracer; of opening, only what may create a file."""
    program = bytearray()

    def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        program.extend(struct.pack("HBBI", code, if_true, if_false, value))

    load, equal, any_of, answer = 0x20, 0x15, 0x45, 0x06
    allow, trace = 0x7FFF0000, 0x7FF00000
    instruction(load, 4)
    instruction(equal, _AUDIT_ARCH, 1, 0)
    instruction(answer, allow)
    instruction(load, 0)
    for name, number in _NUMBERS.items():
        if name in {"open", "openat"}:
            instruction(equal, number, 0, 4)
            instruction(load, 16 + 8 * (1 if name == "open" else 2))
            instruction(any_of, os.O_CREAT, 0, 1)
            instruction(answer, trace)
            instruction(answer, allow)
        else:
            instruction(equal, number, 0, 1)
            instruction(answer, trace)
    instruction(answer, allow)
    buffer = ctypes.create_string_buffer(bytes(program), len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(header))


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(it) for it in (*arguments, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *padded):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def _follow(plan: dict[str, Any], target: int, ready: int) -> NoReturn:
    """Be the tracer: out of the daemon's family, and without its standard streams."""
    if os.fork():
        os._exit(0)
    os.setsid()
    try:
        # It keeps nothing open that somebody might wait for the end of.
        nowhere = os.open(os.devnull, os.O_RDWR)
        log = os.open(f"{plan['report']}.trouble", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream, instead in ((0, nowhere), (1, nowhere), (2, log), (3, ready)):
            os.dup2(instead, stream)
        os.closerange(4, 1024)
        tracer = Tracer(plan, target)
        tracer.seize()
        os.write(3, b"!")
        os.close(3)
        tracer.run()
    except BaseException:  # noqa: BLE001  a process's last word: it ends here
        sys.excepthook(*sys.exc_info())
        os._exit(1)  # What is followed dies with the tracer, so no test goes on unobserved.
    os._exit(0)


def be_traced(plan: dict[str, Any]) -> None:
    """Put a tracer beside this process, which is followed from now on."""
    target = os.getpid()
    listening, ready = os.pipe()
    # Refused where nobody restricts tracing, and then it is not needed.
    _LIBC.prctl(_PR_SET_PTRACER, ctypes.c_ulong(0xFFFFFFFFFFFFFFFF), 0, 0, 0)
    child = os.fork()
    if not child:
        os.close(listening)
        _follow(plan, target, ready)
    os.close(ready)
    os.waitpid(child, 0)
    if os.read(listening, 1) != b"!":
        raise RuntimeError(f"the tracer did not start; see {plan['report']}.trouble")
    os.close(listening)
    _install_filter()


def main() -> NoReturn:
    """Be traced, then become the command."""
    be_traced(json.loads(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  it is what a tracer is for


if __name__ == "__main__":
    main()
