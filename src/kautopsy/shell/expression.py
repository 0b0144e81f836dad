"""C expressions over the dump: what ``p`` and ``gdb print`` can evaluate.

Names, numbers, members (``.`` and ``->``), indexing, ``*`` and ``&``, casts, ``sizeof``,
arithmetic, comparisons, and gdb's ``@`` (so many elements from here). No calls: nothing runs in a
dead kernel.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import drgn
from drgn import FindObjectFlags, Object, Program, Type, TypeKind

from kautopsy.kernel.reading import READ_ERRORS, reason
from kautopsy.shell.errors import CommandError
from kautopsy.shell.types import find_aggregate, unaliased

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<char>'(?:\\.|[^'])')|(?P<op>->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!<>().,\[\]@?:]))"
)
_BINARY: list[dict[str, Callable[[Object, Object], object]]] = [
    {"||": lambda a, b: bool(a) or bool(b)},
    {"&&": lambda a, b: bool(a) and bool(b)},
    {"|": lambda a, b: a | b},
    {"^": lambda a, b: a ^ b},
    {"&": lambda a, b: a & b},
    {"==": lambda a, b: a == b, "!=": lambda a, b: a != b},
    {"<": lambda a, b: a < b, ">": lambda a, b: a > b,
     "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b},
    {"<<": lambda a, b: a << b, ">>": lambda a, b: a >> b},
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b, "/": lambda a, b: a / b, "%": lambda a, b: a % b},
]  # fmt: skip
_KEYWORDS = frozenset(
    {"struct", "union", "enum", "unsigned", "signed", "long", "short", "int", "char", "void",
     "const", "volatile", "float", "double", "_Bool"}
)  # fmt: skip
_MOST_DEEP = 60


def evaluate(program: Program, text: str) -> Object:
    """The value of a C expression.

    :raises CommandError: it is none, or names what is not there
    """
    parser = _Parser(program, text)
    try:
        value = parser.expression(0)
        parser.end()
    except READ_ERRORS as error:
        raise CommandError(_why(error), thing=text) from error
    except (ZeroDivisionError, RecursionError) as error:
        raise CommandError(str(error) or "too deep", thing=text) from error
    return value


def address_of(program: Program, text: str) -> int:
    """An address: hexadecimal, a symbol, ``symbol+offset``, or an expression in parentheses.

    :raises CommandError: it is none of these
    """
    bare = text.strip().strip("()")
    if re.fullmatch(r"(0x)?[0-9a-fA-F]+", bare):
        try:
            # A symbol of hexadecimal letters alone (``add``) loses to the number, as in crash.
            return int(bare, 16)
        except ValueError:
            pass
    found = re.fullmatch(r"([A-Za-z_.][\w.$]*)\s*(?:([+-])\s*(0x[0-9a-fA-F]+|\d+))?", bare)
    if found is not None:
        try:
            base = program.symbol(found[1]).address
        except LookupError:
            pass
        else:
            offset = int(found[3], 0) if found[3] else 0
            return int(base + (offset if found[2] != "-" else -offset))
    try:
        value = evaluate(program, text)
        if unaliased(value.type_).kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ARRAY):
            return int(value.address_ or 0)
        return int(value.value_()) & 0xFFFF_FFFF_FFFF_FFFF
    except (CommandError, *READ_ERRORS) as error:
        raise CommandError("not a symbol or address", thing=text) from error


def _why(error: BaseException) -> str:
    if isinstance(error, (drgn.FaultError, LookupError)):
        return reason(error)
    return str(error)


class _Parser:
    def __init__(self, program: Program, text: str) -> None:
        self._program = program
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise CommandError(f"unexpected {self._peek()!r} in", thing=self._text)

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise CommandError(f"{token!r} is missing in", thing=self._text)

    def expression(self, level: int) -> Object:
        self._depth += 1
        if self._depth > _MOST_DEEP * len(_BINARY):
            raise RecursionError("too deep")
        try:
            return self._binary(level)
        finally:
            self._depth -= 1

    def _binary(self, level: int) -> Object:
        if level == len(_BINARY):
            return self._repeated()
        left = self.expression(level + 1)
        while self._peek() in _BINARY[level]:
            operation = _BINARY[level][self._take()]
            right = self.expression(level + 1)
            made = operation(_decayed(left), _decayed(right))
            left = made if isinstance(made, Object) else Object(self._program, "int", int(made))  # type: ignore[call-overload]
        return left

    def _repeated(self) -> Object:
        value = self._unary()
        if self._peek() == "@":
            self._take()
            count = int(self._unary())
            if value.address_ is None or not 0 < count <= 1 << 20:
                raise CommandError("@ takes what lies in memory, and a count", thing=self._text)
            type_ = self._program.array_type(value.type_, count)
            return Object(self._program, type_, address=value.address_)
        return value

    def _unary(self) -> Object:
        token = self._peek()
        if token == "*":
            self._take()
            return self._dereferenced(self._unary())
        if token == "&":
            self._take()
            return self._unary().address_of_()
        if token in ("-", "+", "~"):
            self._take()
            value = _decayed(self._unary())
            return -value if token == "-" else ~value if token == "~" else +value
        if token == "!":
            self._take()
            return Object(self._program, "int", int(not self._unary()))
        if token == "sizeof":
            return self._sizeof()
        if token == "(" and self._is_type(1):
            self._take()
            type_ = self._type()
            self._expect(")")
            return self._cast(type_, self._unary())
        return self._postfix(self._primary())

    def _cast(self, type_: Type, value: Object) -> Object:
        if unaliased(type_).kind in (TypeKind.STRUCT, TypeKind.UNION):
            return Object(self._program, type_, address=value.address_ or 0)
        return drgn.cast(type_, _decayed(value))

    def _dereferenced(self, value: Object) -> Object:
        value = _decayed(value)
        if unaliased(value.type_).kind is TypeKind.POINTER:
            return value[0]
        raise CommandError("attempt to take contents of a non-pointer value", thing=self._text)

    def _sizeof(self) -> Object:
        self._take()
        if self._peek() == "(" and self._is_type(1):
            self._take()
            type_ = self._type()
            self._expect(")")
            size = drgn.sizeof(type_)
        else:
            size = drgn.sizeof(self._unary())
        return Object(self._program, "unsigned long", size)

    def _primary(self) -> Object:
        token = self._take()
        if token == "(":
            value = self.expression(0)
            self._expect(")")
            return value
        if re.fullmatch(r"0[xX][0-9a-fA-F]+|\d+", token):
            number = int(token, 16 if token[:2] in ("0x", "0X") else 10)
            kinds = [("int", 31), ("long", 63), ("unsigned long", 64)]
            kind = next((name for name, bits in kinds if number >> bits == 0), "unsigned long")
            return Object(self._program, kind, number)
        if token.startswith("'"):
            return Object(self._program, "char", ord(token[1:-1].encode().decode("unicode_escape")))
        if re.fullmatch(r"[A-Za-z_]\w*", token):
            return self._named(token)
        raise CommandError(f"unexpected {token or 'end'!r} in", thing=self._text)

    def _named(self, name: str) -> Object:
        try:
            return self._program.object(name, FindObjectFlags.ANY)
        except LookupError:
            pass
        try:
            symbol = self._program.symbol(name)
        except LookupError:
            raise CommandError(f'no symbol "{name}" in current context') from None
        if self._peek() == "&" or (self._at >= 2 and self._tokens[self._at - 2] == "&"):
            return Object(self._program, "char", address=symbol.address)
        raise CommandError(
            f"'{name}' has unknown type", hint=f"cast it to its declared type: *(long *)&{name}"
        )

    def _postfix(self, value: Object) -> Object:
        while (token := self._peek()) in (".", "->", "["):
            self._take()
            if token == "[":
                index = int(self.expression(0))
                self._expect("]")
                value = value[index]
            else:
                value = value.member_(self._take())
        return value

    def _is_type(self, ahead: int) -> bool:
        token = self._peek(ahead)
        if token in _KEYWORDS:
            return True
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            return False
        # (name *) or (name) before an operand: a typedef, unless it is a variable.
        following = self._peek(ahead + 1)
        if following not in ("*", ")"):
            return False
        try:
            self._program.type(token)
        except (LookupError, SyntaxError):
            return find_aggregate(self._program, token) is not None and following == "*"
        return True

    def _type(self) -> Type:
        words: list[str] = []
        while re.fullmatch(r"[A-Za-z_]\w*", self._peek()):
            words.append(self._take())
        stars = ""
        while self._peek() == "*":
            stars += self._take()
        name = " ".join(words)
        try:
            return self._program.type(f"{name} {stars}".strip())
        except (LookupError, SyntaxError) as error:
            # As crash: the word struct may be left out.
            found = find_aggregate(self._program, name)
            if found is None:
                raise CommandError("no such type", thing=name) from error
            for _ in stars:
                found = self._program.pointer_type(found)
            return found


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CommandError(f"a syntax error in expression, near {text[at:].strip()!r}")
        number = match["number"]
        found.append(number if number else match[0].strip())
        at = match.end()
    if not found:
        raise CommandError("an expression is missing")
    return found


def _decayed(value: Object) -> Object:
    """Arrays and functions become pointers, as in C."""
    if unaliased(value.type_).kind in (TypeKind.ARRAY, TypeKind.FUNCTION):
        return value + 0 if unaliased(value.type_).kind is TypeKind.ARRAY else value.address_of_()
    return value
