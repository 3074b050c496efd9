"""subtoken: verify subtokens, HS256 JWTs with permissions and a URL allowlist.

A thin face over libsubtoken, whose headers are the manual. One file, nothing but
the standard library.

    ring = subtoken.Ring.read("/etc/subtoken/secrets")
    verifier = subtoken.Verifier(ring, revoked=lambda name: name in my_list)

    verdict = verifier.verify(token, method="GET", target="/v2/account?v=latest",
                              needs=["account"])
    if not verdict:  # 400 and 503 have no challenge
        headers = {"WWW-Authenticate": verdict.challenge} if verdict.challenge else {}
        return verdict.status, headers
    print(verdict.claims.sub)

Mistakes deny. A verifier that was not told about revocations answers feed_stale to
every good token, and so does a `revoked` that raises or returns anything but True,
False and None. A Verdict is true only when it is ok. A request that brought no token at all is
401 with CHALLENGE.

`target` is the request target as it stood on the request line, undecoded, with its
query. Texts are str or bytes; of a str the UTF-8 bytes count, and where it has
surrogates because it was made with surrogateescape, the bytes that it was made of.

Ring, Verifier, Secret and what they answer are never changed after they are made: any
number of threads may use one at once. The GIL is not held while the library works.
Tokens and secrets are in no repr and in no log line.
"""
from __future__ import annotations

import collections.abc
import copyreg
import ctypes
import ctypes.util
import errno
import logging
import operator
import os
import re
import stat
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import AbstractSet, Any, Callable, List, NoReturn, Optional, Sequence, Tuple, Union

__version__ = "0.3.0"  # of the library whose structs are mirrored here, or a later patch of it
_SONAME = "libsubtoken.so.0.3"
__all__ = [
    "CHALLENGE", "Answer", "Claims", "Error", "Inspection", "Ring", "RingError", "Secret",
    "UrlError", "Verdict", "Verifier", "inspect", "load", "mac", "mac_check", "target_path",
    "url_allows", "url_canonical", "url_covers", "url_match",
]

CHALLENGE = "Bearer"  # the WWW-Authenticate for a request without any credential

Text = Union[str, bytes]
Texts = Union[Sequence[Text], AbstractSet[Text]]  # no single text, no dict, no iterator

_TOKEN_MAX = 8192
_PERMISSIONS_MAX = _URLS_MAX = 64
_VIA_MAX = 8
_URL_MAX = 1024
_PATH_MAX = 4096
_KID_MAX = 64
_RING_MAX = 16
_MAC_LEN = 32
_TIME_MAX = 2**53 - 1
_RING_FILE_MAX = 65536
_EXPLANATION = 8192

_log = logging.getLogger("subtoken")


# ---- the structs of common.h and verify.h ----


class _Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class _View(ctypes.Structure):
    """A subtoken_text that C returns: no NUL ends it."""

    _fields_ = [("data", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _Slice(ctypes.Structure):
    _fields_ = [("at", ctypes.c_uint16), ("len", ctypes.c_uint16)]


class _Claims(ctypes.Structure):
    _fields_ = [
        ("iat", ctypes.c_int64),
        ("exp", ctypes.c_int64),
        ("nbf", ctypes.c_int64),
        ("every_url", ctypes.c_bool),
        ("aud_named", ctypes.c_bool),
        ("aud_derived", ctypes.c_bool),
        ("permission_count", ctypes.c_uint16),
        ("url_count", ctypes.c_uint16),
        ("text_len", ctypes.c_uint16),
        ("via_count", ctypes.c_uint16),
        ("sub", _Slice),
        ("tid", _Slice),
        ("aud", _Slice),
        ("iss", _Slice),
        ("sid", _Slice),
        ("permissions", _Slice * _PERMISSIONS_MAX),
        ("urls", _Slice * _URLS_MAX),
        ("via", _Slice * _VIA_MAX),
        ("text", ctypes.c_char * (_TOKEN_MAX // 4 * 3)),
    ]


class _Secret(ctypes.Structure):
    _fields_ = [
        ("inner", ctypes.c_uint32 * 8),
        ("outer", ctypes.c_uint32 * 8),
        ("derive_inner", ctypes.c_uint32 * 8),
        ("derive_outer", ctypes.c_uint32 * 8),
        ("cpu", ctypes.c_uint8),
        ("kid_len", ctypes.c_uint8),
        ("header_len", ctypes.c_uint8),
        ("audience_len", ctypes.c_uint8),
        ("kid", ctypes.c_char * _KID_MAX),
        ("header", ctypes.c_char * (_KID_MAX + 72)),
    ]


class _Ring(ctypes.Structure):
    _fields_ = [("count", ctypes.c_size_t), ("secrets", _Secret * _RING_MAX)]


class _Verifier(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("ring", ctypes.POINTER(_Ring)),
        ("leeway", ctypes.c_int64),
        ("max_life", ctypes.c_int64),
        ("iss", _Text),
        ("aud", _Text),
        ("revoked", ctypes.c_void_p),  # never set here, see Verifier.verify
        ("revoked_context", ctypes.c_void_p),
        ("without_revocations", ctypes.c_bool),
        ("cache", ctypes.c_void_p),  # never set here
        ("any_audience", ctypes.c_bool),  # never set here: it is for an issuer
    ]


class _Request(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("now", ctypes.c_int64),
        ("method", _Text),
        ("target", _Text),
        ("needs", ctypes.POINTER(_Text)),
        ("needs_count", ctypes.c_size_t),
    ]


# ---- the library ----

_size_p = ctypes.POINTER(ctypes.c_size_t)
_fault_p = ctypes.POINTER(ctypes.c_int)
_PROTOTYPES: List[Tuple[str, Any, List[Any]]] = [
    ("subtoken_ring_read", ctypes.c_int, [ctypes.POINTER(_Ring), _Text, _size_p]),
    ("subtoken_ring_error", ctypes.c_char_p, [_Text, ctypes.c_size_t, ctypes.c_int]),
    ("subtoken_verify", ctypes.c_int,
     [ctypes.POINTER(_Verifier), _Text, ctypes.POINTER(_Request), ctypes.POINTER(_Claims)]),
    ("subtoken_inspect", ctypes.c_int,
     [_Text, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(_Claims)]),
    ("subtoken_explain", ctypes.c_size_t,
     [ctypes.POINTER(_Verifier), _Text, ctypes.POINTER(_Request), ctypes.c_int, ctypes.c_char_p,
      ctypes.c_size_t]),
    ("subtoken_target_path", ctypes.c_int,
     [_Text, ctypes.c_char_p, ctypes.c_size_t, _size_p, _fault_p]),
    ("subtoken_url_canonical", ctypes.c_int,
     [_Text, ctypes.c_char_p, ctypes.c_size_t, _size_p, _fault_p]),
    ("subtoken_url_allows", ctypes.c_int, [_Text, _Text, _Text]),
    ("subtoken_url_covers", ctypes.c_int, [_Text, _Text]),
    ("subtoken_url_match", ctypes.c_int, [ctypes.POINTER(_Claims), _Text, _Text]),
    ("subtoken_secret_set", ctypes.c_int,
     [ctypes.POINTER(_Secret), _Text, ctypes.c_char_p, ctypes.c_size_t]),
    ("subtoken_mac_compute", ctypes.c_int,
     [ctypes.POINTER(_Secret), ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]),
    ("subtoken_mac_check", ctypes.c_int,
     [ctypes.POINTER(_Secret), ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]),
    ("subtoken_claims_audience", _View, [ctypes.POINTER(_Claims), _size_p]),
    ("subtoken_result_name", ctypes.c_char_p, [ctypes.c_int]),
    ("subtoken_result_status", ctypes.c_int, [ctypes.c_int]),
    ("subtoken_result_challenge", ctypes.c_char_p, [ctypes.c_int]),
    ("subtoken_fault_name", ctypes.c_char_p, [ctypes.c_int]),
    ("subtoken_fault_text", ctypes.c_char_p, [ctypes.c_int]),
    ("subtoken_wipe", None, [ctypes.c_void_p, ctypes.c_size_t]),
]


def _candidates() -> List[str]:
    named = os.environ.get("SUBTOKEN_LIBRARY")
    if named:
        return [named]
    # PREFIX/lib/python3/dist-packages/subtoken.py and PREFIX/lib/libsubtoken.so.0.3. From
    # anywhere else, and from a path that depends on the working directory, nothing is
    # concluded.
    here = os.path.realpath(__file__) if os.path.isabs(__file__) else ""
    installed = re.fullmatch(r"(/.*)?/lib/python3[0-9.]*/(dist|site)-packages/[^/]+", here, re.S)
    beside = (installed[1] or "") + "/lib/" + _SONAME if installed else ""
    found = [beside] if os.path.exists(beside) else []
    return found + [_SONAME]


def _is_for(version: str) -> bool:
    """Is it this version, or a later patch of it, which only adds (libsubtoken(3))?"""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version, re.A):
        return False
    own, its = ([int(n) for n in v.split(".")] for v in (__version__, version))
    return its[:2] == own[:2] and its[2] >= own[2]


def _open(path: str) -> Any:
    cdll = ctypes.CDLL(path)
    try:
        cdll.subtoken_version.restype = ctypes.c_char_p
        version = cdll.subtoken_version().decode("ascii", "replace")
    except AttributeError:
        raise ImportError("%s is not libsubtoken" % path) from None
    if not _is_for(version):
        raise ImportError("%s is libsubtoken %s, and subtoken.py is for %s: take both from one"
                          " installation" % (path, version, __version__))
    try:
        for name, restype, argtypes in _PROTOTYPES:
            function = getattr(cdll, name)
            function.restype, function.argtypes = restype, argtypes
    except AttributeError as missing:
        raise ImportError("%s: %s" % (path, missing)) from None
    return cdll


class _Library:
    """What is loaded, and the results by number and by name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.c = _open(path)
        self.results: List[Tuple[str, int, Optional[str]]] = []
        self.codes = {}
        while True:
            code = len(self.results)
            name = self.c.subtoken_result_name(code).decode()
            if name == "unknown":
                break
            challenge = self.c.subtoken_result_challenge(code)
            self.codes[name] = code
            self.results.append((name, self.c.subtoken_result_status(code),
                                 challenge.decode() if challenge else None))
        self.good = self.codes["ok"]
        # Rules that stand behind that of revocation, see Verifier.verify.
        self.after_revoked = {self.codes[name] for name in ("bad_target", "url", "perm")}


_loaded: Optional[_Library] = None
_loading = threading.Lock()


def load(path: Optional[str] = None) -> None:
    """Load libsubtoken: from path, else from $SUBTOKEN_LIBRARY, else from the PREFIX
    under whose lib/python3*/dist-packages or site-packages this file lies, else where the
    system finds it. The first call of any function does it; call it at the start of a
    program to see an error there.

    Raises ImportError when there is none, or when it is not of the version that this
    file mirrors; RuntimeError when another one is loaded already.
    """
    global _loaded
    with _loading:
        if _loaded is not None:
            if path is not None and path != _loaded.path:
                raise RuntimeError("%s is loaded already" % _loaded.path)
            return
        tried = []
        for candidate in [path] if path is not None else _candidates():
            try:
                _loaded = _Library(candidate)
                return
            except OSError as error:
                tried.append(str(error))
        found = None
        if path is None and not os.environ.get("SUBTOKEN_LIBRARY"):
            found = ctypes.util.find_library("subtoken")
        if found is None:
            raise ImportError("cannot load libsubtoken: %s" % "; ".join(tried))
        try:
            _loaded = _Library(found)
        except OSError as error:
            raise ImportError("cannot load libsubtoken: %s" % error) from None


def _library() -> _Library:
    if _loaded is None:
        load()
    assert _loaded is not None
    return _loaded


# ---- texts ----


def _bytes(value: Text) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise TypeError("a text must be str or bytes, not %s" % type(value).__name__)
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates: no UTF-8, so it will be refused
        return value.encode("utf-8", "surrogatepass")


def _text(value: Optional[Text]) -> _Text:
    if value is None:
        return _Text(None, 0)
    data = _bytes(value)
    return _Text(data, len(data))


def _str(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _many(values: Texts, what: str) -> List[bytes]:
    # A dict might mean its values, and an iterator is empty the second time: less would be
    # asked for than was meant.
    if not isinstance(values, (list, tuple)) and (
            isinstance(values, (str, bytes, bytearray, memoryview))
            or not isinstance(values, (collections.abc.Sequence, collections.abc.Set))):
        raise TypeError("%s must be a list, a tuple or a set of texts, not %s"
                        % (what, type(values).__name__))
    return [_bytes(value) for value in values]


# ---- results ----


class Error(ValueError):
    """Something could not be made or read; result is the library's name for it."""

    def __init__(self, result: str, message: str) -> None:
        super().__init__(message)
        self.result = result

    # Between processes and in copies: a new one is not made by __init__, which takes something else
    # than the message.
    def __reduce__(self) -> Tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__


class RingError(Error):
    """A ring or a secret is refused; line counts from 1, and is 0 when no line is wrong."""

    def __init__(self, result: str, line: int = 0, text: str = "") -> None:
        where = " in line %d" % line if line else ""
        super().__init__(result, result + where + (": it " + text if text else ""))
        self.line = line


class UrlError(Error):
    """A target or an entry is refused; fault is a name such as "dot-segment"."""

    def __init__(self, result: str, fault: str, text: str) -> None:
        super().__init__(result, "%s: %s" % (fault, text))
        self.fault = fault


@dataclass(frozen=True)
class Claims:
    """What a token says. urls None: it opens every URL. sid names the login that it was
    made in, when it was; a verifier takes no notice of it. aud: the audiences that it is
    for, None without any. tid: the id of the token, which is of its signature; via: those of
    the tokens that it was made from, the oldest first."""

    sub: str
    iat: int
    exp: int
    nbf: Optional[int]
    iss: Optional[str]
    permissions: Tuple[str, ...]
    urls: Optional[Tuple[str, ...]]
    sid: Optional[str] = None
    aud: Optional[Tuple[str, ...]] = None
    via: Tuple[str, ...] = ()
    tid: Optional[str] = None

    def names(self) -> Tuple[str, ...]:
        """What may be revoked of it: the sub, the tid and each of via."""
        return (self.sub, *((self.tid,) if self.tid else ()), *self.via)


@dataclass(frozen=True)
class Answer:
    """True when ok. result is the name of the rule that decided, such as "expired";
    status the HTTP status for it; challenge the value of WWW-Authenticate that
    goes with it, or None."""

    ok: bool
    result: str
    status: int
    challenge: Optional[str]

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True)
class Verdict(Answer):
    """The answer about a token. claims are None unless it is ok. error is what `revoked`
    raised (also logged, by the logger "subtoken"), when that is why it is feed_stale."""

    claims: Optional[Claims] = None
    error: Optional[Exception] = field(default=None, compare=False)


@dataclass(frozen=True)
class Inspection:
    """A token that was read and not verified. It is neither true nor false, so that
    `if inspect(token):` is an error."""

    header: str
    claims: Claims

    def __bool__(self) -> bool:
        raise TypeError("nothing was verified: use a Verifier")


def _audiences(raw: _Claims) -> Tuple[str, ...]:
    at, found = ctypes.c_size_t(0), []
    while True:
        one = _library().c.subtoken_claims_audience(raw, at)
        if one.data is None:
            return tuple(found)
        found.append(_str(ctypes.string_at(one.data, one.len)))


def _claims_of(raw: _Claims) -> Claims:
    text = ctypes.string_at(ctypes.addressof(raw) + _Claims.text.offset, raw.text_len)

    def cut(piece: _Slice) -> str:
        at: int = piece.at
        return _str(text[at:at + piece.len])

    permissions, urls, via = raw.permissions, raw.urls, raw.via
    return Claims(
        sub=cut(raw.sub),
        iat=raw.iat,
        exp=raw.exp,
        nbf=raw.nbf or None,
        iss=cut(raw.iss) or None,
        permissions=tuple([cut(permissions[i]) for i in range(raw.permission_count)]),
        urls=None if raw.every_url else tuple([cut(urls[i]) for i in range(raw.url_count)]),
        sid=cut(raw.sid) or None,
        aud=_audiences(raw) if raw.aud.len else None,
        via=tuple([cut(via[i]) for i in range(raw.via_count)]),
        tid=cut(raw.tid) or None,
    )


def _answer(code: int) -> Answer:
    library = _library()
    return Answer(code == library.good, *library.results[code])


# ---- rings and secrets ----


def _wipe(memory: Any) -> None:
    _library().c.subtoken_wipe(ctypes.byref(memory), ctypes.sizeof(memory))


def _read_secret(path: Union[str, os.PathLike[str]], content: bytearray) -> int:
    """The content of a file that none but its owner and its group can read; its size."""
    # Opening a FIFO would block. The file that is open is checked, not its name.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "is not a regular file", os.fspath(path))
        if mode & (stat.S_IWGRP | stat.S_IRWXO):
            raise PermissionError(
                errno.EPERM, "is open to others (mode %04o): chmod 600 it, or 640 for its group"
                % stat.S_IMODE(mode), os.fspath(path))
        size = 0
        with memoryview(content) as buffer:
            while size < len(buffer):
                with buffer[size:] as rest:
                    more = os.readv(fd, [rest])
                if more == 0:
                    break
                size += more
        return size
    finally:
        os.close(fd)


class _SecretHolder:
    """Holds secrets: they are wiped with it, and never copied."""

    __slots__ = ("_raw", "__weakref__")

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        # Not at exit, where threads and handlers still use it.
        weakref.finalize(self, _wipe, raw).atexit = False

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("secrets are not copied or pickled")


class Ring(_SecretHolder):
    """The signing secrets: what `subtoken secret` keeps in the file `secrets`."""

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("use Ring.read(path) or Ring.from_text(text)")

    @classmethod
    def _of(cls, buffer: Any, size: int) -> Ring:
        library = _library()
        self = cls.__new__(cls)
        _SecretHolder.__init__(self, _Ring())
        line = ctypes.c_size_t(0)
        text = _Text(ctypes.cast(buffer, ctypes.c_char_p), size)
        code = library.c.subtoken_ring_read(self._raw, text, ctypes.byref(line))
        if code != library.good:
            message = library.c.subtoken_ring_error(text, line.value, code).decode()
            raise RingError(library.results[code][0], line.value, message)
        return self

    @classmethod
    def read(cls, source: Union[str, bytes, os.PathLike[str]]) -> Ring:
        """From the file at a path (a str or a PathLike), or from its content (bytes).
        The file is a regular one, its owner's alone to write, and nobody but its group may
        read it, too; of a link the target is checked. What was read is wiped.
        Raises OSError and RingError."""
        if isinstance(source, bytes):
            return cls.from_text(source)
        content = bytearray(_RING_FILE_MAX)
        buffer = (ctypes.c_char * len(content)).from_buffer(content)
        try:
            size = _read_secret(source, content)
            if size == len(content):
                raise RingError("too_large")
            return cls._of(buffer, size)
        finally:
            _wipe(buffer)

    @classmethod
    def from_text(cls, text: Text) -> Ring:
        """From the content of a secrets file, one `kid:base64url` a line. (Python cannot
        wipe a str or bytes: read() leaves less behind.)"""
        content = _bytes(text)
        return cls._of(ctypes.c_char_p(content), len(content))

    @property
    def kids(self) -> Tuple[str, ...]:
        """The names of the secrets, "" for the unnamed one. The first signs."""
        return tuple([s.kid[:s.kid_len].decode("ascii") for s in
                      self._raw.secrets[:self._raw.count]])

    def __repr__(self) -> str:
        return "<subtoken.Ring %s>" % ", ".join(kid or "-" for kid in self.kids)


class Secret(_SecretHolder):
    """One secret of 32 to 64 bytes, prepared to make MACs. Raises RingError for one that
    is too easy to guess."""

    __slots__ = ()

    def __init__(self, secret: bytes) -> None:
        library = _library()
        super().__init__(_Secret())
        code = library.c.subtoken_secret_set(self._raw, _Text(None, 0), secret, len(secret))
        if code != library.good:
            raise RingError(library.results[code][0])

    def mac(self, data: bytes) -> bytes:
        """HMAC-SHA-256 of data, 32 bytes."""
        library = _library()
        out = ctypes.create_string_buffer(_MAC_LEN)
        code = library.c.subtoken_mac_compute(self._raw, data, len(data), out)
        if code != library.good:  # no_secret: it is wiped
            raise Error(library.results[code][0], library.results[code][0])
        return out.raw

    def check(self, data: bytes, mac: bytes) -> bool:
        """Is this the MAC of data? In a time that does not depend on where they differ."""
        library = _library()
        if len(mac) != _MAC_LEN and self._raw.header_len:
            return False
        code = library.c.subtoken_mac_check(self._raw, data, len(data), mac)
        if code != library.good and code != library.codes["mac"]:
            raise Error(library.results[code][0], library.results[code][0])
        return bool(code == library.good)

    def __repr__(self) -> str:
        return "<subtoken.Secret>"


def mac(secret: Union[Secret, bytes], data: bytes) -> bytes:
    """HMAC-SHA-256 of data. Make a Secret to use one more than once."""
    return (secret if isinstance(secret, Secret) else Secret(secret)).mac(data)


def mac_check(secret: Union[Secret, bytes], data: bytes, mac: bytes) -> bool:
    """Is this the MAC of data?"""
    return (secret if isinstance(secret, Secret) else Secret(secret)).check(data, mac)


# ---- verifying ----


def _request(now: Optional[int], method: Optional[Text], target: Optional[Text],
             needs: Texts) -> _Request:
    # Out of range it would be cut to 64 bits; -1 is what the library refuses.
    seconds = int(time.time()) if now is None else operator.index(now)
    wanted = [_Text(need, len(need)) for need in _many(needs, "needs")]
    return _Request(ctypes.sizeof(_Request), seconds if 0 <= seconds <= _TIME_MAX else -1,
                    _text(method), _text(target), (_Text * len(wanted))(*wanted), len(wanted))


def _seconds(value: int, what: str) -> int:
    if not 0 <= operator.index(value) <= _TIME_MAX:
        raise ValueError("%s must be seconds, 0 to 2^53-1" % what)
    return value


class Verifier:
    """How to verify tokens.

    leeway    seconds by which clocks may differ, both ways, at most 3600
    max_life  seconds that a token may live at most
    iss, aud  the issuer and the audience that a token must name, or None. With a ring of
              derived secrets, and only then, aud may be None for tokens of that audience
    revoked   called for tokens whose signature and times are good, on the thread that
              verifies: with the sub, then with the tid and each of via, until one is not
              False. True when that name is revoked, False when it is known to be good, None
              when that cannot be known. A tid has 16 characters, a sub of the server 43. None,
              any other answer and any exception deny with feed_stale; the exception is in
              Verdict.error and is logged by the logger "subtoken". (KeyboardInterrupt and the
              like propagate.)
    without_revocations
              True instead of `revoked`: tokens of deleted keys are accepted.
              With neither of the two, every good token is feed_stale.
    """

    __slots__ = ("_ring", "_raw", "_revoked")

    def __init__(self, ring: Ring, leeway: int = 60, max_life: int = 365 * 86400,
                 iss: Optional[Text] = None, aud: Optional[Text] = None,
                 revoked: Optional[Callable[[str], Optional[bool]]] = None,
                 without_revocations: bool = False) -> None:
        if not isinstance(ring, Ring):
            raise TypeError("ring must be a Ring")
        if revoked is not None and not callable(revoked):
            raise TypeError("revoked must be a function of a name")
        if revoked is not None and without_revocations:
            raise ValueError("revoked and without_revocations exclude each other")
        if _seconds(leeway, "leeway") > 3600:
            raise ValueError("leeway must be at most 3600 seconds")
        self._ring = ring
        self._revoked = revoked
        for value in (iss, aud):
            if value is not None and not _bytes(value):
                raise ValueError("iss and aud must not be empty: None asks for none")
        self._raw = _Verifier(
            ctypes.sizeof(_Verifier), ctypes.pointer(ring._raw), _seconds(leeway, "leeway"),
            _seconds(max_life, "max_life"), _text(iss), _text(aud), None, None,
            revoked is not None or without_revocations is True)

    def __repr__(self) -> str:
        return "<subtoken.Verifier of %r>" % (self._ring,)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("secrets are not copied or pickled")

    def verify(self, token: Text, *, now: Optional[int] = None, method: Optional[Text] = None,
               target: Optional[Text] = None, needs: Texts = ()) -> Verdict:
        """Is this token good for this request? now is seconds since 1970, None for the
        clock's; needs are the permissions of which every one is needed. Without a target
        a token that is restricted to urls is refused."""
        return self._verify(_text(token), _request(now, method, target, needs))

    # `revoked` is called from here and not by the library: an exception cannot cross C,
    # and what it does there, such as switching threads, needs no thought. The answer is
    # the library's own. Told without_revocations it applies its rules in the same order.
    # Refused by one that is before revocation, it would not have been called. Refused
    # by one that stands behind it, revocation would have been the answer, if revoked: so
    # the names are read again (the claims are not given out with a refusal), which is
    # reading the same bytes, by now authenticated, in the same way.
    def _verify(self, token: _Text, request: _Request) -> Verdict:
        library = _library()
        if not self._ring._raw.count:
            raise Error("no_secret", "no_secret")  # it is wiped
        raw = _Claims()
        code: int = library.c.subtoken_verify(self._raw, token, request, raw)
        error: Optional[Exception] = None
        if code == library.good:
            claims = _claims_of(raw)
            if self._revoked is None:
                return Verdict(True, *library.results[code], claims)
            code, error = self._check_revoked(claims.names(), code)
            if code == library.good:
                return Verdict(True, *library.results[code], claims)
        elif self._revoked is not None and code in library.after_revoked:
            header = ctypes.create_string_buffer(_TOKEN_MAX)
            if library.c.subtoken_inspect(token, header, _TOKEN_MAX, raw) == library.good:
                code, error = self._check_revoked(_claims_of(raw).names(), code)
            else:
                code = library.codes["feed_stale"]
        return Verdict(False, *library.results[code], None, error)

    def _check_revoked(self, names: Sequence[str],
                       code: int) -> Tuple[int, Optional[Exception]]:
        """code, when all of them are known to be good."""
        codes = _library().codes
        assert self._revoked is not None
        revoked: Optional[bool] = False
        try:
            for name in names:
                revoked = self._revoked(name)
                if revoked is not None and revoked is not True and revoked is not False:
                    raise TypeError("revoked must return True, False or None, not %s"
                                    % type(revoked).__name__)
                if revoked is not False:
                    break
        except Exception as error:
            _log.error("revoked() failed; the token is refused as feed_stale", exc_info=True)
            return codes["feed_stale"], error
        if revoked is False:
            return code, None
        return codes["revoked" if revoked is True else "feed_stale"], None

    def explain(self, token: Text, verdict: Optional[Answer] = None, *,
                now: Optional[int] = None, method: Optional[Text] = None,
                target: Optional[Text] = None, needs: Texts = ()) -> str:
        """Say in words which rule decided and what it saw, for people who run an API,
        never for its callers. verdict is what verify() said to the same arguments; without
        it, the token is verified first."""
        library = _library()
        text, request = _text(token), _request(now, method, target, needs)
        if verdict is None:
            verdict = self._verify(text, request)
        out = ctypes.create_string_buffer(_EXPLANATION)
        size = library.c.subtoken_explain(self._raw, text, request, library.codes[verdict.result],
                                          out, _EXPLANATION)
        return out.raw[:size].decode("utf-8", "replace")


def inspect(token: Text) -> Inspection:
    """Read a token without trusting it: no signature, no clock. For display only. Raises
    Error when it cannot be read."""
    library = _library()
    raw = _Claims()
    header = ctypes.create_string_buffer(_TOKEN_MAX)
    code = library.c.subtoken_inspect(_text(token), header, _TOKEN_MAX, raw)
    if code != library.good:
        raise Error(library.results[code][0], library.results[code][0])
    return Inspection(_str(header.value), _claims_of(raw))


# ---- URLs ----


def _canonical(function: Any, value: Text, size_max: int) -> str:
    library = _library()
    out = ctypes.create_string_buffer(size_max)
    size, fault = ctypes.c_size_t(0), ctypes.c_int(0)
    code = function(_text(value), out, size_max, ctypes.byref(size), ctypes.byref(fault))
    if code != library.good:
        raise UrlError(library.results[code][0],
                       library.c.subtoken_fault_name(fault.value).decode(),
                       library.c.subtoken_fault_text(fault.value).decode())
    return _str(out.raw[:size.value])


def target_path(target: Text) -> str:
    """The canonical path of a request target: route on it. Raises UrlError when it can
    be read in more than one way."""
    return _canonical(_library().c.subtoken_target_path, target, 3 * _PATH_MAX + 1)


def url_canonical(entry: Text) -> str:
    """The canonical text of an entry of the allowlist. Raises UrlError."""
    return _canonical(_library().c.subtoken_url_canonical, entry, _URL_MAX + 1)


def url_allows(entry: Text, target: Text, method: Optional[Text] = None) -> Answer:
    """Does this entry allow this method and target?"""
    return _answer(_library().c.subtoken_url_allows(_text(entry), _text(method), _text(target)))


def url_covers(outer: Text, inner: Text) -> Answer:
    """Does outer allow all that inner allows?"""
    return _answer(_library().c.subtoken_url_covers(_text(outer), _text(inner)))


def url_match(claims: Union[Claims, Texts], target: Optional[Text],
              method: Optional[Text] = None) -> Answer:
    """Would these claims, or this list of entries, allow this method and target?"""
    library = _library()
    raw = _Claims()
    urls: Any = claims.urls if isinstance(claims, Claims) else claims
    if urls is None:
        if not isinstance(claims, Claims):
            raise TypeError("claims must be Claims or a list of entries")
        raw.every_url = True
    else:
        entries = _many(urls, "urls")
        text = b"".join(entries)
        if len(entries) > _URLS_MAX or len(text) > _Claims.text.size:
            return _answer(library.codes["invalid_argument"])
        at = 0
        for i, entry in enumerate(entries):
            raw.urls[i] = _Slice(at, len(entry))
            at += len(entry)
        ctypes.memmove(ctypes.addressof(raw) + _Claims.text.offset, text, at)
        raw.url_count, raw.text_len = len(entries), at
    return _answer(library.c.subtoken_url_match(raw, _text(method), _text(target)))
