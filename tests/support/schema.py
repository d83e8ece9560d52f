"""schema - check values against JSON Schema, as far as proto/openapi.json uses it.

A keyword that is not known here is an error, so that nothing passes because it was not looked at.
"""
import re

ANNOTATIONS = {"description", "default", "examples", "format"}

TYPES = {
    "object": lambda v: isinstance(v, dict), "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str), "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}


class Schemas:
    """All schemas of a document; check() gives the first complaint, "" when there is none."""

    def __init__(self, document):
        self.document = document

    def resolve(self, value):
        while "$ref" in value:
            at = self.document
            for part in value["$ref"].lstrip("#/").split("/"):
                at = at[part]
            value = at
        return value

    def named(self, name):
        return self.document["components"]["schemas"][name]

    def check(self, schema, value, where=""):
        if "$ref" in schema:
            return self.check(self.resolve(schema), value, where)
        for keyword, argument in schema.items():
            if keyword in ANNOTATIONS:
                continue
            complaint = getattr(self, "_" + keyword)(argument, value, where, schema)
            if complaint:
                return complaint if ":" in complaint else "%s: %s" % (where or "/", complaint)
        return ""

    # each keyword: "" or what is wrong

    def _type(self, names, value, where, schema):
        names = [names] if isinstance(names, str) else names
        return "" if any(TYPES[n](value) for n in names) else "%r is no %s" % (value, names)

    def _enum(self, words, value, where, schema):
        return "" if value in words else "%r is none of %r" % (value, words)

    def _const(self, word, value, where, schema):
        same = value == word and isinstance(value, type(word))
        return "" if same else "%r is not %r" % (value, word)

    def _minimum(self, least, value, where, schema):
        return "%r < %r" % (value, least) if TYPES["number"](value) and value < least else ""

    def _maximum(self, most, value, where, schema):
        return "%r > %r" % (value, most) if TYPES["number"](value) and value > most else ""

    def _minLength(self, least, value, where, schema):
        return "%r is too short" % value if isinstance(value, str) and len(value) < least else ""

    def _maxLength(self, most, value, where, schema):
        return "%r is too long" % value if isinstance(value, str) and len(value) > most else ""

    def _pattern(self, pattern, value, where, schema):
        fits = not isinstance(value, str) or re.search(pattern, value)
        return "" if fits else "%r does not fit %s" % (value, pattern)

    def _minItems(self, least, value, where, schema):
        return "too few" if isinstance(value, list) and len(value) < least else ""

    def _maxItems(self, most, value, where, schema):
        return "too many" if isinstance(value, list) and len(value) > most else ""

    def _uniqueItems(self, wanted, value, where, schema):
        twice = isinstance(value, list) and any(v in value[:i] for i, v in enumerate(value))
        return "something is there twice" if wanted and twice else ""

    def _maxProperties(self, most, value, where, schema):
        return "too many members" if isinstance(value, dict) and len(value) > most else ""

    def _required(self, names, value, where, schema):
        missing = [n for n in names if isinstance(value, dict) and n not in value]
        return "%r is missing" % missing if missing else ""

    def _properties(self, properties, value, where, schema):
        for name, inner in properties.items():
            if isinstance(value, dict) and name in value:
                complaint = self.check(inner, value[name], "%s/%s" % (where, name))
                if complaint:
                    return complaint
        return ""

    def _additionalProperties(self, inner, value, where, schema):
        for name in value if isinstance(value, dict) else ():
            if name in schema.get("properties", {}):
                continue
            if inner is False:
                return "%r is not known" % name
            complaint = self.check(inner, value[name], "%s/%s" % (where, name))
            if complaint:
                return complaint
        return ""

    def _propertyNames(self, inner, value, where, schema):
        for name in value if isinstance(value, dict) else ():
            complaint = self.check(inner, name, where)
            if complaint:
                return complaint
        return ""

    def _items(self, inner, value, where, schema):
        for i, item in enumerate(value if isinstance(value, list) else ()):
            complaint = self.check(inner, item, "%s/%d" % (where, i))
            if complaint:
                return complaint
        return ""

    def _allOf(self, schemas, value, where, schema):
        return next(filter(None, (self.check(s, value, where) for s in schemas)), "")

    def _anyOf(self, schemas, value, where, schema):
        complaints = [self.check(s, value, where) for s in schemas]
        return "" if "" in complaints else "fits none: %s" % "; ".join(complaints)

    def _oneOf(self, schemas, value, where, schema):
        complaints = [self.check(s, value, where) for s in schemas]
        if complaints.count("") == 1:
            return ""
        return "fits %d: %s" % (complaints.count(""), "; ".join(filter(None, complaints)))
