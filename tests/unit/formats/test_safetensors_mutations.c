/*
 * test_safetensors_mutations - 200,000 damaged headers, each read by the parser and judged by the
 * published rules written down once more: small, slow and recursive, on a text that is wholly in
 * memory, and without a line of daemon/ in it. The two must agree on every one.
 */
#include "support/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/rng.h"
#include "formats/safetensors.h"

#include "header_text.h"

/* ---- the judge: JSON as a tree ---- */

enum { NODES = 4096, TEXT_MAX = 8192, DEPTH = 127, UNKNOWN = 16, RANK = 16 };

struct node {
    char kind; /* '{' '[' '"' '0' or 'w' for true, false and null */
    const char *text;
    size_t n;                  /* of a string: decoded */
    struct node *first, *next; /* of an object: key, value, key, value, ... */
};

static struct judge {
    const char *at, *end;
    struct node nodes[NODES];
    size_t used;
    char strings[TEXT_MAX];
    size_t strings_used;
} j;

static bool judge_value(struct node **ret, int depth);

static void judge_space(void)
{
    while (j.at < j.end && (*j.at == ' ' || *j.at == '\t' || *j.at == '\n' || *j.at == '\r'))
        j.at++;
}

static bool judge_char(char c)
{
    if (j.at == j.end || *j.at != c)
        return false;
    j.at++;
    return true;
}

static struct node *judge_node(char kind, const char *text, size_t n)
{
    assert_true(j.used < NODES);
    struct node *node = &j.nodes[j.used++];
    *node = (struct node){ .kind = kind, .text = text, .n = n };
    return node;
}

static void judge_put(uint32_t c)
{
    char *to = j.strings + j.strings_used;

    assert_true(j.strings_used + 4 < TEXT_MAX);
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    j.strings_used = (size_t)(to - j.strings);
}

static bool judge_hex(uint32_t *ret)
{
    char digits[5] = { 0 };

    for (int i = 0; i < 4; i++) {
        if (j.at == j.end || !strchr("0123456789abcdefABCDEF", *j.at) || !*j.at)
            return false;
        digits[i] = *j.at++;
    }
    *ret = (uint32_t)strtoul(digits, NULL, 16);
    return true;
}

static bool judge_escape(void)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t c, low;

    if (j.at == j.end)
        return false;
    char letter = *j.at++;
    if (letter != 'u') {
        const char *found = letter ? strchr(from, letter) : NULL;
        if (found)
            judge_put((uint32_t)to[found - from]);
        return found != NULL;
    }
    if (!judge_hex(&c) || (c >= 0xdc00 && c < 0xe000))
        return false;
    if (c >= 0xd800 && c < 0xdc00) {
        if (!judge_char('\\') || !judge_char('u') || !judge_hex(&low) || low < 0xdc00 ||
            low > 0xdfff)
            return false;
        c = 0x10000 + (c - 0xd800) * 0x400 + (low - 0xdc00);
    }
    judge_put(c);
    return true;
}

static bool judge_string(struct node **ret)
{
    size_t start = j.strings_used;

    if (!judge_char('"'))
        return false;
    while (j.at < j.end && *j.at != '"') {
        unsigned char c = (unsigned char)*j.at++;
        if (c < 0x20 || (c == '\\' && !judge_escape()))
            return false;
        if (c != '\\')
            j.strings[j.strings_used++] = (char)c; /* UTF-8 was checked before */
    }
    *ret = judge_node('"', j.strings + start, j.strings_used - start);
    return judge_char('"');
}

/* The grammar of RFC 8259, read with strtod on top: a double must be able to hold it. */
static bool judge_number(struct node **ret)
{
    char text[64] = { 0 };
    size_t n = 0, i = 0, k;

    while (j.at + n < j.end && j.at[n] && strchr("+-.0123456789eE", j.at[n]))
        n++;
    if (n > 63)
        return false;
    memcpy(text, j.at, n);
    *ret = judge_node('0', j.at, n);
    j.at += n;
    i += text[i] == '-';
    if (text[i] == '0')
        i++;
    else if ((k = strspn(text + i, "0123456789")) > 0)
        i += k;
    else
        return false;
    if (text[i] == '.') {
        if ((k = strspn(text + i + 1, "0123456789")) == 0)
            return false;
        i += 1 + k;
    }
    if (text[i] == 'e' || text[i] == 'E') {
        i++;
        i += text[i] == '+' || text[i] == '-';
        if ((k = strspn(text + i, "0123456789")) == 0)
            return false;
        i += k;
    }
    return i == n && isfinite(strtod(text, NULL));
}

static bool judge_container(struct node **ret, char open, char close, int depth)
{
    struct node *node = judge_node(open, NULL, 0), **last = &node->first;

    *ret = node;
    j.at++;
    judge_space();
    if (depth > DEPTH)
        return false;
    if (judge_char(close))
        return true;
    do {
        if (open == '{') {
            judge_space();
            if (!judge_string(last))
                return false;
            last = &(*last)->next;
            judge_space();
            if (!judge_char(':'))
                return false;
        }
        if (!judge_value(last, depth))
            return false;
        last = &(*last)->next;
        judge_space();
    } while (judge_char(','));
    return judge_char(close);
}

static bool judge_value(struct node **ret, int depth)
{
    static const char *const words[] = { "true", "false", "null" };

    judge_space();
    if (j.at == j.end)
        return false;
    if (*j.at == '{' || *j.at == '[')
        return judge_container(ret, *j.at, *j.at == '{' ? '}' : ']', depth + 1);
    if (*j.at == '"')
        return judge_string(ret);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(j.end - j.at) >= n && memcmp(j.at, words[i], n) == 0) {
            *ret = judge_node('w', words[i], n);
            j.at += n;
            return true;
        }
    }
    return judge_number(ret);
}

static bool judge_utf8(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i++];
        int more = c < 0x80 ? 0 : c >= 0xc0 && c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        uint32_t value = c < 0x80 ? c : c & (0x3fu >> more);
        if (c >= 0x80 && (c < 0xc0 || c > 0xf7))
            return false;
        for (int k = 0; k < more; k++, i++) {
            if (i == n || ((unsigned char)text[i] & 0xc0) != 0x80)
                return false;
            value = value << 6 | ((unsigned char)text[i] & 0x3f);
        }
        static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
        if (value < least[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
            return false;
    }
    return true;
}

/* ---- the judge: the rules ---- */

struct place {
    uint64_t begin, end;
    bool is_used;
};

static bool is_text(const struct node *node, const char *text)
{
    return node->kind == '"' && node->n == strlen(text) && memcmp(node->text, text, node->n) == 0;
}

/* All keys differ and none contains a NUL. */
static bool judge_keys(const struct node *object)
{
    for (const struct node *a = object->first; a; a = a->next->next) {
        if (memchr(a->text, 0, a->n))
            return false;
        for (const struct node *b = a->next->next; b; b = b->next->next)
            if (a->n == b->n && memcmp(a->text, b->text, a->n) == 0)
                return false;
    }
    return true;
}

static bool judge_count(const struct node *node, uint64_t *ret)
{
    static const char most[] = "9223372036854775807";

    if (node->kind != '0' || strspn(node->text, "0123456789") < node->n || node->n > strlen(most) ||
        (node->n == strlen(most) && memcmp(node->text, most, node->n) > 0))
        return false;
    *ret = strtoull(node->text, NULL, 10);
    return true;
}

static bool judge_counts(const struct node *array, uint64_t *numbers, size_t max, size_t *ret_count)
{
    *ret_count = 0;
    if (array->kind != '[')
        return false;
    for (const struct node *e = array->first; e; e = e->next)
        if (*ret_count == max || !judge_count(e, &numbers[(*ret_count)++]))
            return false;
    return true;
}

static unsigned judge_bits(const struct node *dtype)
{
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {
        { "BOOL", 8 },    { "F4", 4 },          { "F6_E2M3", 6 },     { "F6_E3M2", 6 },
        { "U8", 8 },      { "I8", 8 },          { "F8_E5M2", 8 },     { "F8_E4M3", 8 },
        { "F8_E8M0", 8 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "I16", 16 },
        { "U16", 16 },    { "F16", 16 },        { "BF16", 16 },       { "I32", 32 },
        { "U32", 32 },    { "F32", 32 },        { "C64", 64 },        { "F64", 64 },
        { "I64", 64 },    { "U64", 64 },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (is_text(dtype, known[i].name))
            return known[i].bits;
    return 0;
}

static bool judge_tensor(const struct node *object, struct place *ret)
{
    const struct node *dtype = NULL, *shape = NULL, *offsets = NULL;
    uint64_t dims[RANK], ends[2];
    size_t rank, two;
    int unknown = 0;

    if (object->kind != '{' || !judge_keys(object))
        return false;
    for (const struct node *key = object->first; key; key = key->next->next) {
        if (is_text(key, "dtype"))
            dtype = key->next;
        else if (is_text(key, "shape"))
            shape = key->next;
        else if (is_text(key, "data_offsets"))
            offsets = key->next;
        else
            unknown++;
    }
    if (!dtype || !shape || !offsets || unknown > UNKNOWN || !judge_bits(dtype) ||
        !judge_counts(shape, dims, RANK, &rank) || !judge_counts(offsets, ends, 2, &two) ||
        two != 2)
        return false;
    unsigned __int128 bits = 1;
    for (size_t i = 0; i < rank; i++)
        if ((bits *= dims[i]) > UINT64_MAX)
            return false;
    bits *= judge_bits(dtype);
    *ret = (struct place){ ends[0], ends[1], false };
    return bits <= UINT64_MAX && bits % 8 == 0 && ends[1] >= ends[0] &&
           ends[1] - ends[0] == bits / 8;
}

static bool judge_metadata(const struct node *node)
{
    if (node->kind == 'w')
        return node->n == 4 && node->text[0] == 'n';
    if (node->kind != '{' || !judge_keys(node))
        return false;
    for (const struct node *key = node->first; key; key = key->next->next)
        if (key->next->kind != '"' || memchr(key->next->text, 0, key->next->n))
            return false;
    return true;
}

/* Of those that begin where the last one ended, the shortest is next, until all data are used. */
static bool judge_places(struct place *places, size_t count, uint64_t data)
{
    uint64_t at = 0;

    for (size_t used = 0; used < count; used++) {
        struct place *next = NULL;
        for (size_t i = 0; i < count; i++)
            if (!places[i].is_used && places[i].begin == at && (!next || places[i].end < next->end))
                next = &places[i];
        if (!next)
            return false;
        next->is_used = true;
        at = next->end;
    }
    return at == data;
}

/* Whether a file with this header and @data bytes behind it is to be accepted. */
static bool judge_accepts(const char *text, size_t n, uint64_t data)
{
    struct place places[256];
    struct node *header;
    size_t count = 0;

    j.at = text;
    j.end = text + n;
    j.used = j.strings_used = 0;
    if (n == 0 || text[0] != '{' || !judge_utf8(text, n) || !judge_value(&header, 0))
        return false;
    judge_space();
    if (j.at != j.end || !judge_keys(header))
        return false;
    for (const struct node *key = header->first; key; key = key->next->next) {
        if (is_text(key, "__metadata__")) {
            if (!judge_metadata(key->next))
                return false;
        } else {
            assert_true(count < COUNT_OF(places));
            if (!judge_tensor(key->next, &places[count++]))
                return false;
        }
    }
    return judge_places(places, count, data);
}

/* ---- the damage ---- */

struct seed {
    const char *text;
    uint64_t data;
};

static const struct seed seeds[] = {
    { "{\"a\":" TENSOR("F32", "[2]", "[0,8]") "}", 8 },
    { "{\"__metadata__\":{\"format\":\"pt\",\"k\\u00e9y\":\"\\ud83d\\ude00\xc3\xa9\"},\"a\":" TENSOR(
          "F32", "[2]", "[0,8]") ",\"b.w\":" TENSOR("BF16", "[2,3]", "[8,20]") "}   ",
      20 },
    { "{\"b\":" TENSOR("U8", "[0,3]", "[4,4]") ",\"a\":" TENSOR("I32", "[]", "[0,4]") "}", 4 },
    { "{\"x\":{\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2],"
      "\"z\":[1.5e3,{\"q\":null,\"r\":[true,false]},\"s\"]}, \"y\" : " TENSOR("F64", "[1,1]",
                                                                              "[2,10]") "}",
      10 },
    { "{}", 0 },
    { "{\"__metadata__\":null}", 0 },
    { "{\"__metadata__\":{}, \"t\":{\"dtype\":\"F6_E2M3\",\"shape\":[2,2],\"data_offsets\":[0,3],"
      "\"u\":-0.0e-1,\"v\":{}}}\n",
      3 },
    { "{\"a\":" TENSOR("U8", "[1]", "[0,1]") ",\"b\":" TENSOR(
          "U8", "[2]", "[1,3]") ",\"c\":" TENSOR("U8", "[3]",
                                                 "[3,6]") ",\"d\":" TENSOR("U8", "[0]",
                                                                           "[6,6]") "}",
      6 },
};

static const char *const tokens[] = {
    "\"dtype\"",
    "\"shape\"",
    "\"data_offsets\"",
    "\"__metadata__\"",
    "\"a\"",
    "\"b\"",
    "\"F32\"",
    "\"U8\"",
    "\"\"",
    "\"",
    "\\",
    "\\u",
    "\\n",
    "\\ud83d",
    "\\ude00",
    "\\u0041",
    "\\u0000",
    ":",
    ",",
    "{",
    "}",
    "[",
    "]",
    "[]",
    "{}",
    "[2]",
    "[0,8]",
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "8",
    "-",
    ".",
    "e",
    "1e3",
    "-0",
    "01",
    "1e999",
    "2.0",
    " ",
    "\n",
    "\t",
    "\r ",
    "\x01",
    "\x7f",
    "\xc3\xa4",
    "\xff",
    "\xe2\x82",
    "\xf0\x9f\x98\x80",
    ",\"z\":1",
    ",\"z\":[{\"z\":0}]",
    "18446744073709551615",
    "9223372036854775807",
    "9223372036854775808",
};

struct text {
    char bytes[4096];
    size_t n;
};

/* Random numbers of one case: the same on every machine. */
struct dice {
    uint32_t number, thrown;
};

static size_t dice_below(struct dice *d, size_t sides)
{
    const uint32_t key[2] = { 0x5afe, 0x7e45 };
    uint32_t out[4];

    philox4x32((const uint32_t[4]){ d->number, d->thrown++, 0, 0 }, key, out);
    return sides ? out[0] % sides : 0;
}

static void replace(struct text *t, size_t at, size_t cut, const char *with, size_t n)
{
    char copy[64];

    n = n < sizeof copy ? n : sizeof copy; /* it may lie in the text itself */
    memcpy(copy, with, n);
    if (cut > t->n - at)
        cut = t->n - at;
    if (t->n - cut + n > sizeof t->bytes)
        return;
    memmove(t->bytes + at + n, t->bytes + at + cut, t->n - at - cut);
    memcpy(t->bytes + at, copy, n);
    t->n = t->n - cut + n;
}

/* The place of a random one of these characters, or any place. */
static size_t place_of(struct dice *d, const struct text *t, const char *chars)
{
    size_t places[4096], count = 0;

    for (size_t i = 0; i < t->n; i++)
        if (t->bytes[i] && strchr(chars, t->bytes[i]))
            places[count++] = i;
    return count ? places[dice_below(d, count)] : dice_below(d, t->n);
}

static void damage(struct dice *d, struct text *t)
{
    size_t at = dice_below(d, t->n + 1);
    const char *token = tokens[dice_below(d, COUNT_OF(tokens))];
    char byte = (char)dice_below(d, 256);

    switch (dice_below(d, 12)) {
    case 0: replace(t, at, 1, &byte, 1); break;
    case 1: replace(t, at, 0, token, strlen(token)); break;
    case 2: replace(t, at, 1 + dice_below(d, 8), "", 0); break;
    case 3: replace(t, at, strlen(token), token, strlen(token)); break;
    case 4: { /* a piece of the text, again */
        size_t from = dice_below(d, t->n), n = dice_below(d, 64);
        replace(t, at, 0, t->bytes + from, n < t->n - from ? n : t->n - from);
        break;
    }
    case 5: replace(t, place_of(d, t, "0123456789"), 1, &"0123456789"[dice_below(d, 10)], 1); break;
    case 6: replace(t, place_of(d, t, ",:{}[]\""), 1, &",:{}[]\""[dice_below(d, 7)], 1); break;
    case 7: replace(t, place_of(d, t, ",:{}[]"), 0, &" \n\t\r"[dice_below(d, 4)], 1); break;
    case 8: replace(t, place_of(d, t, "}"), 0, ",\"z\":1", 6); break;
    case 9: replace(t, place_of(d, t, "]"), 0, token, strlen(token)); break;
    case 10: replace(t, place_of(d, t, "abcxyz"), 1, "\\u0061", 6); break;
    default: replace(t, place_of(d, t, "abcxyz"), 1, "\xc3\xa4", 2); break;
    }
}

static void test_parser_and_judge_agree(void **state)
{
    (void)state;
    enum { CASES = 200000 };
    int accepted = 0;

    for (uint32_t i = 0; i < CASES; i++) {
        struct dice dice = { .number = i };
        const struct seed *seed = &seeds[dice_below(&dice, COUNT_OF(seeds))];
        struct text t = { .n = strlen(seed->text) };
        memcpy(t.bytes, seed->text, t.n);
        for (size_t times = 1 + dice_below(&dice, 3) / 2; times > 0 && i >= COUNT_OF(seeds);
             times--)
            damage(&dice, &t);
        AUTO(buf_clear) struct buf file = { 0 };
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct sewa_error err = { 0 };
        put_header(&file, t.bytes, t.n);
        int rc =
            safetensors_parse(file.data, file.len, "f", (int64_t)(file.len + seed->data), &l, &err);
        bool wanted = judge_accepts(t.bytes, t.n, seed->data);
        if ((rc == 0) != wanted)
            print_error("case %u, wanted %d, got %d (%s): %.*s\n", i, wanted, rc, err.text,
                        (int)t.n, t.bytes);
        assert_int_equal(rc == 0, wanted);
        accepted += wanted;
    }
    /* damage that is never harmless or always fatal would test nothing */
    assert_in_range(accepted, CASES / 10, CASES / 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(test_parser_and_judge_agree) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
