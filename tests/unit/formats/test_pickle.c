/*
 * test_pickle - the machine that reads pickles: what each opcode makes, and pickles that somebody
 * has made to break a reader. Rows with a text are read, and the text is their graph.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "formats/pickle.h"

struct row {
    const char *name;
    const char *bytes;
    size_t n;
    int code;
    const char *word; /* of the message, or the graph */
};

#define P(text)  text, sizeof text - 1
#define P2(text) P("\x80\x02" text)
#define P4(text) P("\x80\x04" text)
/* Three bytes that leave nothing, seventy times: a pickle that is long enough for high indices. */
#define SEVEN   "K\0000K\0000K\0000K\0000K\0000K\0000K\0000"
#define SEVENTY SEVEN SEVEN SEVEN SEVEN SEVEN SEVEN SEVEN SEVEN SEVEN SEVEN

static const struct row rows[] = {
    /* what is read */
    { "None", P2("N."), 0, "None" },
    { "True", P2("\x88."), 0, "True" },
    { "False", P2("\x89."), 0, "False" },
    { "BININT1", P2("K\xff."), 0, "255" },
    { "BININT2", P2("M\xff\xff."), 0, "65535" },
    { "BININT", P2("J\xff\xff\xff\xff."), 0, "-1" },
    { "BININT, the least", P2("J\0\0\0\x80."), 0, "-2147483648" },
    { "LONG1, no byte", P2("\x8a\0."), 0, "0" },
    { "LONG1, negative", P2("\x8a\x01\x80."), 0, "-128" },
    { "LONG1, 8 bytes", P2("\x8a\x08\0\0\0\0\0\0\0\x80."), 0, "-9223372036854775808" },
    { "LONG1, 9 bytes", P2("\x8a\x09\0\0\0\0\0\0\0\0\x01."), 0, "big" },
    { "LONG4", P2("\x8b\x02\0\0\0\xff\xff."), 0, "-1" },
    { "BINFLOAT", P2("G\x3f\xf8\0\0\0\0\0\0."), 0, "1.5" },
    { "BINUNICODE", P2("X\x02\0\0\0hi."), 0, "'hi'" },
    { "BINUNICODE that is not UTF-8", P2("X\x03\0\0\0\xed\xa0\x80."), 0, "b3" },
    { "SHORT_BINSTRING", P2("U\x02hi."), 0, "b2" },
    { "BINSTRING", P2("T\x02\0\0\0hi."), 0, "b2" },
    { "SHORT_BINUNICODE", P4("\x8c\x02hi."), 0, "'hi'" },
    { "BINUNICODE8", P4("\x8d\x02\0\0\0\0\0\0\0hi."), 0, "'hi'" },
    { "SHORT_BINBYTES", P4("C\x02hi."), 0, "b2" },
    { "BINBYTES", P4("B\x02\0\0\0hi."), 0, "b2" },
    { "BINBYTES8", P4("\x8e\x02\0\0\0\0\0\0\0hi."), 0, "b2" },
    { "BYTEARRAY8", P("\x80\x05\x96\x02\0\0\0\0\0\0\0hi."), 0, "b2" },
    { "EMPTY_TUPLE", P2(")."), 0, "()" },
    { "TUPLE", P2("(K\x01K\x02t."), 0, "(1 2)" },
    { "TUPLE1", P2("K\x01\x85."), 0, "(1)" },
    { "TUPLE2", P2("K\x01K\x02\x86."), 0, "(1 2)" },
    { "TUPLE3", P2("K\x01K\x02K\x03\x87."), 0, "(1 2 3)" },
    { "LIST", P2("(K\x01K\x02l."), 0, "[1 2]" },
    { "APPEND",
      P2("]K\x01"
         "a."),
      0, "[1]" },
    { "APPENDS",
      P2("](K\x01K\x02"
         "e."),
      0, "[1 2]" },
    { "APPENDS of nothing", P2("](e."), 0, "[]" },
    { "DICT",
      P2("(K\x01K\x02"
         "d."),
      0, "{1 2}" },
    { "SETITEM", P2("}K\x01K\x02s."), 0, "{1 2}" },
    { "SETITEMS", P2("}(K\x01K\x02K\x03K\x04u."), 0, "{1 2 3 4}" },
    { "SETITEMS of nothing", P2("}(u."), 0, "{}" },
    { "EMPTY_SET and ADDITEMS", P4("\x8f(K\x01K\x02\x90."), 0, "set2" },
    { "FROZENSET", P4("(K\x01\x91."), 0, "set1" },
    { "GLOBAL", P2("ctorch\nSize\n."), 0, "torch.Size" },
    { "STACK_GLOBAL", P4("\x8c\x05torch\x8c\x04Size\x93."), 0, "torch.Size" },
    { "REDUCE", P2("cos\nsystem\nX\x02\0\0\0ls\x85R."), 0, "os.system('ls')" },
    { "NEWOBJ", P2("ca\nB\n)\x81."), 0, "a.B()" },
    { "NEWOBJ_EX", P4("ca\nB\n)}\x92."), 0, "a.B()" },
    { "BUILD", P2("ca\nB\n)\x81}b."), 0, "a.B()!{}" },
    { "SETITEM of an object", P2("ca\nB\n)RK\x01K\x02s."), 0, "a.B(){1 2}" },
    { "APPENDS to an object",
      P2("ca\nB\n)R(K\x01"
         "e."),
      0, "a.B()+" },
    { "an object as callable", P2("ca\nB\n)RK\x01\x85R."), 0, "a.B()(1)" },
    { "BINPERSID", P2("K\x07Q."), 0, "<7>" },
    { "POP",
      P2("NK\x01"
         "0."),
      0, "None" },
    { "POP_MARK",
      P2("N(K\x01K\x02"
         "1."),
      0, "None" },
    { "DUP",
      P2("K\x01"
         "2\x86."),
      0, "(1 1)" },
    { "BINPUT and BINGET", P2("]q\x05h\x05\x86."), 0, "([] [])" },
    { "LONG_BINPUT and LONG_BINGET", P2("]r\x05\0\0\0j\x05\0\0\0\x86."), 0, "([] [])" },
    { "LONG_BINPUT far behind the others", P2(SEVENTY "K\x07r\xc8\0\0\0j\xc8\0\0\0\x86."), 0,
      "(7 7)" },
    { "MEMOIZE", P4("K\x01\x94K\x02\x94h\x01h\0\x86\x87."), 0, "(1 2 (2 1))" },
    { "a memo that is overwritten", P2("K\x01q\0K\x02q\0h\0\x87."), 0, "(1 2 2)" },
    { "FRAME", P4("\x95\x02\0\0\0\0\0\0\0N."), 0, "None" },
    { "a list that contains itself",
      P2("]q\0h\0"
         "a."),
      0, "[[[[...]]]]" },
    { "a dictionary with a key twice", P2("}(K\x01K\x02K\x01K\x03u."), 0, "{1 2 1 3}" },
    /* the beginning and the end */
    { "nothing", P(""), SEWA_E_CORRUPT, "this is no pickle" },
    { "one byte", P("\x80"), SEWA_E_CORRUPT, "this is no pickle" },
    { "no protocol", P("N."), SEWA_E_CORRUPT, "this is no pickle" },
    { "protocol 0", P("\x80\0N."), SEWA_E_UNSUPPORTED, "pickle protocol 0" },
    { "protocol 1", P("\x80\x01N."), SEWA_E_UNSUPPORTED, "pickle protocol 1" },
    { "protocol 6", P("\x80\x06N."), SEWA_E_UNSUPPORTED, "pickle protocol 6, 2 to 5" },
    { "a second protocol", P2("\x80\x02N."), SEWA_E_UNSUPPORTED, "opcode 0x80 has no place" },
    { "no STOP", P2("N"), SEWA_E_CORRUPT, "offset 3: the pickle breaks off" },
    { "STOP of nothing", P2("."), SEWA_E_CORRUPT, "stops with 0 things on its stack" },
    { "STOP of two", P2("NN."), SEWA_E_CORRUPT, "stops with 2 things on its stack" },
    { "STOP under a mark", P2("N(."), SEWA_E_CORRUPT, "and 1 open marks" },
    { "bytes behind STOP", P2("N.N."), SEWA_E_CORRUPT, "2 bytes behind the end" },
    /* opcodes that have no place in a checkpoint */
    { "INST", P2("(ios\nsystem\n."), SEWA_E_UNSUPPORTED, "opcode 0x69" },
    { "OBJ", P2("(cos\nsystem\no."), SEWA_E_UNSUPPORTED, "opcode 0x6f" },
    { "PERSID", P2("P0\n."), SEWA_E_UNSUPPORTED, "opcode 0x50" },
    { "EXT1", P2("\x82\x01."), SEWA_E_UNSUPPORTED, "opcode 0x82" },
    { "EXT2", P2("\x83\x01\0."), SEWA_E_UNSUPPORTED, "opcode 0x83" },
    { "EXT4", P2("\x84\x01\0\0\0."), SEWA_E_UNSUPPORTED, "opcode 0x84" },
    { "NEXT_BUFFER", P("\x80\x05\x97."), SEWA_E_UNSUPPORTED, "opcode 0x97" },
    { "READONLY_BUFFER", P("\x80\x05N\x98."), SEWA_E_UNSUPPORTED, "opcode 0x98" },
    { "INT", P2("I1\n."), SEWA_E_UNSUPPORTED, "opcode 0x49" },
    { "LONG", P2("L1L\n."), SEWA_E_UNSUPPORTED, "opcode 0x4c" },
    { "STRING", P2("S'a'\n."), SEWA_E_UNSUPPORTED, "opcode 0x53" },
    { "UNICODE", P2("Va\n."), SEWA_E_UNSUPPORTED, "opcode 0x56" },
    { "FLOAT", P2("F1\n."), SEWA_E_UNSUPPORTED, "opcode 0x46" },
    { "PUT", P2("Np0\n."), SEWA_E_UNSUPPORTED, "opcode 0x70" },
    { "GET", P2("g0\n."), SEWA_E_UNSUPPORTED, "opcode 0x67" },
    { "a byte that is no opcode", P2("\xff."), SEWA_E_UNSUPPORTED, "opcode 0xff" },
    { "NUL", P2("\0."), SEWA_E_UNSUPPORTED, "opcode 0x00" },
    /* operands that are not there: pytorch 185443, too */
    { "BININT1 cut", P2("K"), SEWA_E_CORRUPT, "wants 1 bytes and the pickle ends after 0" },
    { "BININT cut", P2("J\0\0"), SEWA_E_CORRUPT, "wants 4 bytes and the pickle ends after 2" },
    { "BINFLOAT cut", P2("G\0\0"), SEWA_E_CORRUPT, "wants 8 bytes" },
    { "LONG1 cut", P2("\x8a\xff\x01."), SEWA_E_CORRUPT, "wants 255 bytes" },
    { "LONG4 without end", P2("\x8b\xff\xff\xff\x7f."), SEWA_E_CORRUPT, "wants 2147483647 bytes" },
    { "LONG4 negative", P2("\x8b\xff\xff\xff\xff."), SEWA_E_CORRUPT, "negative number of bytes" },
    { "BINUNICODE without end", P2("X\xff\xff\xff\xff."), SEWA_E_CORRUPT,
      "a text of 4294967295 bytes in a pickle of" },
    { "BINUNICODE one too long", P2("X\x02\0\0\0."), SEWA_E_CORRUPT, "wants 2 bytes" },
    { "BINUNICODE8 without end", P4("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), SEWA_E_CORRUPT,
      "a text of 18446744073709551615 bytes" },
    { "BINBYTES8 of 4 GB", P4("\x8e\0\0\0\xfa\0\0\0\0."), SEWA_E_CORRUPT,
      "a text of 4194304000 bytes" },
    { "SHORT_BINSTRING cut", P2("U\x05hi"), SEWA_E_CORRUPT, "wants 5 bytes" },
    { "a frame without end", P4("\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), SEWA_E_CORRUPT,
      "a frame of 18446744073709551615 bytes" },
    { "a frame one too long", P4("\x95\x03\0\0\0\0\0\0\0N."), SEWA_E_CORRUPT,
      "a frame of 3 bytes and 2 are left" },
    /* the stack */
    { "APPEND to nothing", P2("Na."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "APPENDS without a mark", P2("]Ne."), SEWA_E_CORRUPT, "finds no mark" },
    { "TUPLE without a mark", P2("Nt."), SEWA_E_CORRUPT, "finds no mark" },
    { "TUPLE3 of two", P2("NN\x87."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "TUPLE2 across a mark", P2("N(N\x86t."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "POP of nothing", P2("0N."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "POP of a mark", P2("N(0."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "POP_MARK without a mark", P2("N1."), SEWA_E_CORRUPT, "finds no mark" },
    { "DUP of nothing", P2("2."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "SETITEMS without a mark", P2("}NNu."), SEWA_E_CORRUPT, "finds no mark" },
    { "SETITEM of one", P2("}Ns."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "BINPERSID of nothing", P2("Q."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "a mark between list and item", P2("](Na."), SEWA_E_CORRUPT, "finds nothing" },
    /* the memo */
    { "BINGET of nothing", P2("h\0."), SEWA_E_CORRUPT, "nothing was put into the memo at 0" },
    { "BINGET of another", P2("Nq\x01h\0\x86."), SEWA_E_CORRUPT, "nothing was put" },
    { "LONG_BINGET far out", P2("Nq\0j\xff\xff\xff\xff\x86."), SEWA_E_CORRUPT,
      "nothing was put into the memo at 4294967295" },
    { "LONG_BINPUT far out", P2("Nr\xff\xff\xff\xff."), SEWA_E_UNSUPPORTED,
      "memo index 4294967295 in a pickle of" },
    { "BINPUT of nothing", P2("q\0N."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "BINPUT of a mark", P2("N(q\0t."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    { "MEMOIZE of nothing", P4("\x94N."), SEWA_E_CORRUPT, "finds nothing on the stack" },
    /* GHSA-63cw-57p8-fm3p: items of what has none */
    { "SETITEM of a list", P2("]K\0Ns."), SEWA_E_CORRUPT, "sets items of what is no dictionary" },
    { "SETITEM of a tuple", P2(")K\0Ns."), SEWA_E_CORRUPT, "sets items of what is no dictionary" },
    { "SETITEM of None", P2("NK\0Ns."), SEWA_E_CORRUPT, "sets items of what is no dictionary" },
    { "SETITEM of a text", P2("X\x01\0\0\0aK\0Ns."), SEWA_E_CORRUPT, "is no dictionary" },
    { "SETITEM of a class", P2("ctorch\nTensor\nK\0Ns."), SEWA_E_CORRUPT, "is no dictionary" },
    { "SETITEM of a storage", P2(")QK\0Ns."), SEWA_E_CORRUPT, "is no dictionary" },
    { "SETITEMS of a list", P2("](K\0Nu."), SEWA_E_CORRUPT, "is no dictionary" },
    { "SETITEMS of a set", P4("\x8f(K\0Nu."), SEWA_E_CORRUPT, "is no dictionary" },
    { "SETITEMS of an odd number", P2("}(K\0u."), SEWA_E_CORRUPT, "a key without a value" },
    { "DICT of an odd number", P2("(K\0d."), SEWA_E_CORRUPT, "a key without a value" },
    { "APPEND to a tuple", P2(")Na."), SEWA_E_CORRUPT, "adds to what is no list or set" },
    { "APPEND to a dictionary", P2("}Na."), SEWA_E_CORRUPT, "adds to what is no list" },
    { "APPENDS to a text", P2("X\x01\0\0\0a(Ne."), SEWA_E_CORRUPT, "adds to what is no list" },
    { "APPENDS to a set", P4("\x8f(Ne."), SEWA_E_CORRUPT, "adds to what is no list" },
    { "ADDITEMS to a list", P4("](N\x90."), SEWA_E_CORRUPT, "adds to what is no list" },
    /* calls */
    { "REDUCE of an integer", P2("K\x01)R."), SEWA_E_CORRUPT, "calls what is no function" },
    { "REDUCE of a text", P2("X\x01\0\0\0a)R."), SEWA_E_CORRUPT, "calls what is no function" },
    { "REDUCE of a storage", P2(")Q)R."), SEWA_E_CORRUPT, "calls what is no function" },
    { "REDUCE without a tuple", P2("ca\nB\nNR."), SEWA_E_CORRUPT, "arguments of a call" },
    { "REDUCE with a list", P2("ca\nB\n]R."), SEWA_E_CORRUPT, "arguments of a call" },
    { "NEWOBJ of a tuple", P2("))\x81."), SEWA_E_CORRUPT, "calls what is no function" },
    { "NEWOBJ_EX without names", P4("ca\nB\n)N\x92."), SEWA_E_CORRUPT, "named arguments" },
    { "BUILD of a dictionary", P2("}}b."), SEWA_E_CORRUPT, "given to what is no object" },
    { "BUILD of a class", P2("ca\nB\n}b."), SEWA_E_CORRUPT, "given to what is no object" },
    { "BUILD twice", P2("ca\nB\n)R}b}b."), SEWA_E_CORRUPT, "to an object that has one" },
    /* names */
    { "GLOBAL without an end", P2("ctorch"), SEWA_E_CORRUPT, "does not end" },
    { "GLOBAL without a second end", P2("ctorch\nSize"), SEWA_E_CORRUPT, "does not end" },
    { "GLOBAL without a module", P2("c\nSize\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL without a name", P2("ctorch\n\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL with a space", P2("ctorch\nSi ze\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL with a carriage return", P2("ctorch\r\nSize\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL with a NUL", P2("ctorch\nSi\0ze\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL with an escape", P2("c\x1b[31m\nx\n."), SEWA_E_CORRUPT, "is no name" },
    { "GLOBAL that is not UTF-8", P2("ctorch\nS\xff\n."), SEWA_E_CORRUPT, "is no name" },
    { "STACK_GLOBAL of numbers", P4("K\x01K\x02\x93."), SEWA_E_CORRUPT, "is no text" },
    { "STACK_GLOBAL of bytes",
      P4("C\x01"
         "a\x8c\x01"
         "b\x93."),
      SEWA_E_CORRUPT, "is no text" },
    { "STACK_GLOBAL of one",
      P4("\x8c\x01"
         "a\x93."),
      SEWA_E_CORRUPT, "nothing on the stack" },
};

enum { SHOWN_DEPTH = 4 };

static void show(struct buf *b, const struct pickle_node *n, int depth);

static void show_items(struct buf *b, const struct pickle_node *n, const char *brackets, int depth)
{
    buf_char(b, brackets[0]);
    for (uint32_t i = 0; i < n->count; i++) {
        if (i > 0)
            buf_char(b, ' ');
        show(b, n->items[i], depth - 1);
    }
    buf_char(b, brackets[1]);
}

static void show_object(struct buf *b, const struct pickle_object *o, int depth)
{
    show(b, o->callable, depth - 1);
    show(b, o->args, depth - 1);
    if (o->items)
        show(b, o->items, depth - 1);
    if (o->has_elements)
        buf_char(b, '+');
    if (o->state) {
        buf_char(b, '!');
        show(b, o->state, depth - 1);
    }
}

static void show(struct buf *b, const struct pickle_node *n, int depth)
{
    if (depth == 0) {
        buf_text(b, "...");
        return;
    }
    switch ((enum pickle_kind)n->kind) {
    case PICKLE_NONE: buf_text(b, "None"); break;
    case PICKLE_BOOL: buf_text(b, n->integer ? "True" : "False"); break;
    case PICKLE_INTEGER: buf_printf(b, "%lld", (long long)n->integer); break;
    case PICKLE_BIG: buf_text(b, "big"); break;
    case PICKLE_FLOAT: buf_printf(b, "%g", n->real); break;
    case PICKLE_TEXT: buf_printf(b, "'%.*s'", (int)n->count, n->text); break;
    case PICKLE_BYTES: buf_printf(b, "b%u", n->count); break;
    case PICKLE_TUPLE: show_items(b, n, "()", depth); break;
    case PICKLE_LIST: show_items(b, n, "[]", depth); break;
    case PICKLE_DICT: show_items(b, n, "{}", depth); break;
    case PICKLE_SET: buf_printf(b, "set%u", n->count); break;
    case PICKLE_GLOBAL: buf_text(b, n->text); break;
    case PICKLE_PERSISTENT: show_items(b, n, "<>", depth); break;
    case PICKLE_OBJECT: show_object(b, n->object, depth); break;
    }
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTOPTR(pickle_free) struct pickle *p = NULL;
    AUTO(buf_clear) struct buf text = { 0 };
    AUTOFREE char *bytes = malloc(row->n ? row->n : 1); /* exactly: reading on is noticed */
    struct sewa_error err = { 0 };

    memcpy(bytes, row->bytes, row->n);
    int rc = pickle_read(bytes, row->n, "p", &p, &err);
    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        assert_null(p);
        return;
    }
    assert_ok(rc, err);
    show(&text, pickle_root(p), SHOWN_DEPTH + (strchr(row->word, '!') != NULL));
    assert_string_equal(buf_cstr(&text), row->word);
}

/* Repeats of one opcode: nothing grows past what the bytes justify. */
static void test_bombs(void **state)
{
    (void)state;
    static const struct {
        const char *name, *begin, *repeat;
        size_t times;
        const char *end;
        const char *word;
    } bombs[] = {
        { "stack", "", "N", 1100000, ".", "the stack is deeper than" },
        { "marks", "", "(", 2000, ".", "more than 1000 marks are open" },
        { "lists", "", "]", 1000000, ".", "bytes of memory" },
        { "dictionaries", "", "}", 1000000, ".", "bytes of memory" },
        { "tuples in tuples", ")", "\x85", 1000000, ".", "bytes of memory" },
        { "objects", "ca\nB\n", ")R", 1000000, ".", "bytes of memory" },
    };

    for (size_t i = 0; i < COUNT_OF(bombs); i++) {
        AUTO(buf_clear) struct buf b = { 0 };
        struct pickle *p = NULL;
        struct sewa_error err = { 0 };
        buf_append(&b, "\x80\x02", 2);
        buf_text(&b, bombs[i].begin);
        for (size_t k = 0; k < bombs[i].times; k++)
            buf_text(&b, bombs[i].repeat);
        buf_text(&b, bombs[i].end);
        alloc_peak_reset();
        int64_t before = alloc_held();
        assert_failed(pickle_read(b.data, b.len, bombs[i].name, &p, &err), err, SEWA_E_UNSUPPORTED,
                      bombs[i].word);
        assert_int_equal(alloc_held(), before);
        /* an arena wastes at most as much again, a block that grows is there twice */
        assert_true(alloc_peak() - before <
                    (int64_t)(3 * PICKLE_MEMORY_FACTOR * b.len + (4 << 20)));
    }
}

/* 2^60 items by doubling: each step is a node, whoever walks is bounded by itself. */
static void test_a_graph_that_is_larger_than_its_nodes(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf b = { 0 };
    AUTOPTR(pickle_free) struct pickle *p = NULL;
    struct sewa_error err = { 0 };

    buf_append(&b, "\x80\x02N", 3);
    for (int i = 0; i < 60; i++)
        buf_text(&b, "2\x86");
    buf_char(&b, '.');
    assert_ok(pickle_read(b.data, b.len, "p", &p, &err), err);
    assert_true(pickle_memory(p) < 20000);
}

static void test_too_long(void **state)
{
    (void)state;
    struct pickle *p = NULL;
    struct sewa_error err = { 0 };

    assert_failed(pickle_read("", (size_t)PICKLE_BYTES_MAX + 1, "p", &p, &err), err,
                  SEWA_E_UNSUPPORTED, "at most 268435456 are supported");
}

/* err may be NULL, and every allocation may fail. */
static void test_without_memory(void **state)
{
    (void)state;
    static const char bytes[] = "\x80\x04}(\x8c\x01"
                                "a\x94"
                                "ca\nB\n(K\x01MAAtRq\x70h\x70\x8c\x01"
                                "b](NNeu.";
    int64_t n = 0;

    for (;; n++) {
        AUTOPTR(pickle_free) struct pickle *p = NULL;
        struct sewa_error err = { 0 };
        int64_t before = alloc_held();
        alloc_fail_at(n);
        int rc = pickle_read(bytes, sizeof bytes - 1, "p", &p, n % 2 ? &err : NULL);
        if (!alloc_fired()) {
            assert_int_equal(rc, SEWA_E_UNSUPPORTED); /* memo index 112 of 40 bytes */
            break;
        }
        assert_int_equal(rc, SEWA_E_NO_MEMORY);
        assert_int_equal(alloc_held(), before);
    }
    assert_true(n >= 4);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 4];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_bombs);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_a_graph_that_is_larger_than_its_nodes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_too_long);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_memory);
    return _cmocka_run_group_tests("pickle", tests, n, NULL, NULL);
}
