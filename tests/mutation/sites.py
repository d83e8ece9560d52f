"""sites - the places of a C file where a small fault can be put, and what it would look like.

A site is one change of a few characters inside a function: a relation, a sign, a constant, a condition,
or a call that is left out. Comments, strings, preprocessor lines, assert() and log lines are no sites:
a fault there changes nothing that a caller may rely on. Pure: text in, list out.
"""

import collections
import re

Site = collections.namedtuple("Site", "path line column kind before after function")

TOKEN = re.compile(r"""
    (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
  | (?P<number>\b(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:[uUlL]*)\b(?!\.))
  | (?P<float>\b[0-9]+\.[0-9]*(?:[eE][-+]?[0-9]+)?f?)
  | (?P<word>[A-Za-z_][A-Za-z_0-9]*)
  | (?P<operator>->|\+\+|--|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|[-+*/%<>=!&|^~?:;,.(){}\[\]])
  | (?P<blank>\s+)
""", re.X | re.S | re.M)

SWAPS = {"<": ["<="], "<=": ["<"], ">": [">="], ">=": [">"], "==": ["!="], "!=": ["=="],
         "&&": ["||"], "||": ["&&"], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"],
         "+=": ["-="], "-=": ["+="], "<<": [">>"], ">>": ["<<"]}
KINDS = {"<": "relation", "<=": "relation", ">": "relation", ">=": "relation", "==": "relation",
         "!=": "relation", "&&": "logic", "||": "logic"}
# What only speaks, checks our own mistakes or gives memory back: its absence is not a fault of behaviour
# (leaks are the sanitizers' to find, and this driver builds without them).
QUIET = re.compile(r"^(assert|static_assert|_Static_assert|log_\w+|(\w+_)?(free|clear|unref|decref)|print_message|metric_\w+|va_end|va_start)$")
KEYWORDS = {"if", "while", "for", "switch", "return", "sizeof", "do", "else", "case", "default", "goto"}


def _tokens(text):
    out, at = [], 0
    for m in TOKEN.finditer(text):
        at = m.end()
        if m.lastgroup not in ("comment", "blank", "directive"):
            out.append((m.lastgroup, m.group(), m.start()))
    return out if at else []


def _closing(tokens, i):
    """The index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        if tokens[j][1] in ("(", "[", "{"):
            depth += 1
        elif tokens[j][1] in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return j
    return len(tokens) - 1


def _functions(tokens):
    """(name, index of its brace, index of the closing one) of every function in the file."""
    i = 0
    while i < len(tokens):
        if tokens[i][1] != "{":
            i += 1
            continue
        end = _closing(tokens, i)
        j = i - 1
        if j >= 0 and tokens[j][1] == ")":
            depth = 0
            while j >= 0:
                depth += (tokens[j][1] == ")") - (tokens[j][1] == "(")
                if depth == 0:
                    break
                j -= 1
            if j > 0 and tokens[j - 1][0] == "word":
                yield tokens[j - 1][1], i, end
        i = end + 1


def _is_binary(tokens, i):
    kind, text, _ = tokens[i - 1]
    return kind in ("number", "float") or text in (")", "]") or (kind == "word" and text not in KEYWORDS)


def _is_cast_or_pointer(tokens, i):
    """'*' in a declaration or cast, which looks like a product."""
    before, after = tokens[i - 1], tokens[i + 1]
    if before[0] == "word" and before[1] in ("char", "void", "int", "float", "double", "const") or before[1].endswith("_t"):
        return True
    return i >= 2 and tokens[i - 2][1] in ("struct", "enum", "union") or after[1] in (")", "*", ",")


def find(path, text):
    """Every site of the file, in the order of the text."""
    tokens = _tokens(text)
    starts = [0] + [m.end() for m in re.finditer("\n", text)]
    sites = []

    def add(function, offset, kind, before, after):
        line = next(k for k in range(len(starts), 0, -1) if starts[k - 1] <= offset)
        sites.append(Site(path, line, offset - starts[line - 1], kind, before, after, function))

    for name, begin, end in _functions(tokens):
        i = begin + 1
        while i < end:
            kind, word, offset = tokens[i]
            if kind == "word" and QUIET.match(word) and tokens[i + 1][1] == "(":
                i = _closing(tokens, i + 1) + 1
                continue
            if kind == "word" and word in ("if", "while") and tokens[i + 1][1] == "(":
                close = _closing(tokens, i + 1)
                a, b = tokens[i + 1][2], tokens[close][2] + 1
                add(name, a, "condition", text[a:b], "(!%s)" % text[a:b])
            elif kind == "word" and tokens[i - 1][1] in (";", "{", "}", ")") and tokens[i + 1][1] == "(" \
                    and word not in KEYWORDS and not word.isupper():
                close = _closing(tokens, i + 1)
                if tokens[close + 1][1] == ";":
                    a, b = offset, tokens[close + 1][2] + 1
                    add(name, a, "call", text[a:b], "(void)0;")
            elif kind == "number" and tokens[i - 1][1] not in ("[", "case"):
                digits = word.rstrip("uUlL")
                value = int(digits, 16 if digits[:2].lower() == "0x" else 10)
                if not (digits[0] == "0" and len(digits) > 1 and digits[1] not in "xX"):
                    add(name, offset, "constant", word, word.replace(digits, str(value + 1), 1))
            elif kind == "operator" and word in SWAPS and _is_binary(tokens, i):
                if word == "*" and _is_cast_or_pointer(tokens, i):
                    i += 1
                    continue
                for other in SWAPS[word]:
                    add(name, offset, KINDS.get(word, "arithmetic"), word, other)
            i += 1
    return sites


def apply(text, site):
    """The file with this fault in it; ValueError where the text is another than it was."""
    lines = text.split("\n")
    offset = sum(len(x) + 1 for x in lines[:site.line - 1]) + site.column
    if not text.startswith(site.before, offset):
        raise ValueError("%s:%d has changed" % (site.path, site.line))
    return text[:offset] + site.after + text[offset + len(site.before):]


def key(site, text):
    """What names a site in the list of judged survivors: it outlives lines that move."""
    line = text.split("\n")[site.line - 1].strip()
    after = " ".join(site.after.split())
    return "%s %s: %s | %s -> %s" % (site.path, site.function, line,
                                     " ".join(site.before.split())[:60], after[:60])
