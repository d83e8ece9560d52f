/*
 * test_torch - pickles of checkpoints whose numbers and names are wrong, in archives that are sound
 * (archive.h: storages "0" of 24 bytes, "1" of 64, "2" of none): each row is a file that somebody
 * may have made, with what it is to get. Among them what was reported against PyTorch's own
 * readers. And files of other kinds under PyTorch's names, and a checkpoint of 10,000 tensors.
 */
#include "support/support.h"
#include "support/alloc.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "formats/torch.h"

#include "archive.h"

struct row {
    const char *name;
    const char *bytes;
    size_t n;
    int code;
    const char *word; /* of the message, or of the first note */
};

#define B(text) text, sizeof text - 1

/* Parts of pickles. Each is a literal of its own: an escape ends with it. */
#define TEXT(length, text) "X" length "\0\0\0" text
#define ID(type, key, count) \
    "(" TEXT("\x07", "storage") "c" type "\n" TEXT("\x01", key) TEXT("\x03", "cpu") count "t"
#define STORAGE(type, key, count)              ID(type, key, count) "Q"
#define FLOATS                                 STORAGE("torch\nFloatStorage", "0", "K\x06")
#define CALL(module, name, args)               "c" module "\n" name "\n(" args "tR"
#define V2(args)                               CALL("torch._utils", "_rebuild_tensor_v2", args)
#define V3(args)                               CALL("torch._utils", "_rebuild_tensor_v3", args)
#define TENSOR(storage, offset, shape, stride) V2(storage offset shape stride "\x89}")
#define N(x)                                   "K" x
#define ONE(x)                                 N(x) "\x85"
#define TWO(x, y)                              N(x) N(y) "\x86"
#define LONG(bytes)                            "\x8a\x08" bytes
#define STATE(value)                           "\x80\x02}" TEXT("\x01", "w") value "s."
#define FINE                                   TENSOR(FLOATS, N("\0"), ONE("\x06"), ONE("\x01"))
#define ROOT(items)                            "\x80\x02}(" items "u."
#define W                                      TEXT("\x01", "w")
#define DICT(value)                            "}" W value "s"
#define MODEL                                  TEXT("\x05", "model")

static const struct row rows[] = {
    /* what is read */
    { "plain", B(STATE(FINE)), 0, "" },
    { "rank 0", B(STATE(TENSOR(FLOATS, N("\x05"), ")", ")"))), 0, "" },
    { "the last element", B(STATE(TENSOR(FLOATS, N("\x05"), ONE("\x01"), ONE("\x01")))), 0, "" },
    { "expanded", B(STATE(TENSOR(FLOATS, N("\x05"), ONE("\xff"), ONE("\0")))), 0, "" },
    { "2^31 elements", B(STATE(TENSOR(FLOATS, N("\x05"), "\x8a\x05\0\0\0\x80\0\x85", ONE("\0")))),
      0, "" },
    { "empty",
      B(STATE(
          TENSOR(STORAGE("torch\nFloatStorage", "2", N("\0")), N("\0"), ONE("\0"), ONE("\x01")))),
      0, "" },
    { "empty, far out", B(STATE(TENSOR(FLOATS, N("\xff"), ONE("\0"), ONE("\x01")))), 0, "" },
    { "torch.Size",
      B(STATE(TENSOR(FLOATS, N("\0"), "ctorch\nSize\n" ONE("\x06") "\x85R", ONE("\x01")))), 0, "" },
    { "a parameter", B(STATE(CALL("torch._utils", "_rebuild_parameter", FINE "\x88}"))), 0, "" },
    { "a parameter with state",
      B(STATE(CALL("torch._utils", "_rebuild_parameter_with_state", FINE "\x88}}"))), 0, "" },
    { "a storage of CUDA's",
      B(STATE(TENSOR(STORAGE("torch.cuda\nFloatStorage", "0", N("\x06")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      0, "" },
    { "the first version",
      B(STATE(CALL("torch._utils", "_rebuild_tensor", FLOATS N("\0") ONE("\x06") ONE("\x01")))), 0,
      "" },
    { "an untyped storage",
      B(STATE(V3(STORAGE("torch.storage\nUntypedStorage", "0", N("\x18")) N("\0") ONE("\x18")
                     ONE("\x01") "\x89}ctorch\nfloat8_e5m2\n"))),
      0, "" },
    { "an optimizer that nobody can read",
      B(ROOT(MODEL DICT(FINE) TEXT("\x03", "opt") "cos\nsystem\n)R")), 0, "left aside: 'opt'" },
    { "extra state that nobody can read",
      B(ROOT(W FINE TEXT("\x0e", "x._extra_state") "cio\nBytesIO\n)R")), 0,
      "they are no tensors: 'x._extra_state'" },
    { "raw and averaged weights", B(ROOT(MODEL DICT(FINE) TEXT("\x03", "ema") DICT(FINE))), 0,
      "'ema' found beside 'model': 'model' is used" },
    /* GHSA-63cw-57p8-fm3p: storages that are not as long as announced, items of tensors */
    { "GHSA-63cw-57p8-fm3p: a storage of more elements",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", N("\x07")), N("\0"), ONE("\x07"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "'w' is in a storage of 7 elements, which the archive has 24 bytes of" },
    { "GHSA-63cw-57p8-fm3p: a storage of fewer elements",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", N("\x05")), N("\0"), ONE("\x05"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "a storage of 5 elements" },
    { "GHSA-63cw-57p8-fm3p: a storage of another type",
      B(STATE(TENSOR(STORAGE("torch\nDoubleStorage", "0", N("\x06")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "a storage of 6 elements" },
    { "GHSA-63cw-57p8-fm3p: items of a tensor", B(STATE(FINE "K\0Ns")), SEWA_E_CORRUPT,
      "'w' is a tensor that is changed after it is made" },
    { "GHSA-63cw-57p8-fm3p: items of a parameter",
      B(STATE(CALL("torch._utils", "_rebuild_parameter", FINE "\x88}") "(K\0Nu")), SEWA_E_CORRUPT,
      "changed after it is made" },
    { "elements appended to a tensor", B(STATE(FINE "Na")), SEWA_E_CORRUPT, "changed after" },
    { "a state given to a tensor", B(STATE(FINE "}b")), SEWA_E_CORRUPT, "changed after" },
    /* pytorch 181310: numbers of elements whose bytes overflow */
    { "pytorch 181310: bytes that wrap",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", LONG("\x06\0\0\0\0\0\0\x40")), N("\0"),
                     ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "a storage of 4611686018427387910" },
    { "pytorch 181310: a negative number",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", "J\xff\xff\xff\xff"), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "has the number of elements in its storage -1" },
    { "a number past 64 bits",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", "\x8a\x09\0\0\0\0\0\0\0\0\x01"), N("\0"),
                     ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "no integer of 64 bits" },
    { "a number that is a float",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", "G\x40\x18\0\0\0\0\0\0"), N("\0"),
                     ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "no integer of 64 bits" },
    { "a number that is True", B(STATE(TENSOR(FLOATS, "\x88", ONE("\x01"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has a offset that is no integer" },
    /* pytorch 184652: offset and strides that leave the storage */
    { "one element too many", B(STATE(TENSOR(FLOATS, N("\0"), ONE("\x07"), ONE("\x01")))),
      SEWA_E_CORRUPT, "'w' reaches behind the end of its storage" },
    { "an offset behind the end", B(STATE(TENSOR(FLOATS, N("\x06"), ONE("\x01"), ONE("\x01")))),
      SEWA_E_CORRUPT, "reaches behind the end" },
    { "an offset that wraps",
      B(STATE(TENSOR(FLOATS, LONG("\0\0\0\0\0\0\0\x40"), ONE("\x01"), ONE("\x01")))),
      SEWA_E_CORRUPT, "reaches behind the end" },
    { "the largest offset",
      B(STATE(TENSOR(FLOATS, LONG("\xff\xff\xff\xff\xff\xff\xff\x7f"), ")", ")"))), SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "a negative offset", B(STATE(TENSOR(FLOATS, "J\xff\xff\xff\xff", ONE("\x01"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has the offset -1" },
    { "pytorch 184652: a stride that leaves",
      B(STATE(TENSOR(FLOATS, N("\0"), ONE("\x02"), ONE("\x06")))), SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "pytorch 184652: a stride without end",
      B(STATE(
          TENSOR(FLOATS, N("\0"), ONE("\x02"), LONG("\xff\xff\xff\xff\xff\xff\xff\x7f") "\x85"))),
      SEWA_E_CORRUPT, "reaches behind the end" },
    { "a stride that wraps back",
      B(STATE(TENSOR(FLOATS, N("\0"), ONE("\x05"), LONG("\0\0\0\0\0\0\0\x40") "\x85"))),
      SEWA_E_CORRUPT, "reaches behind the end" },
    { "a negative stride",
      B(STATE(TENSOR(FLOATS, N("\x05"), ONE("\x06"), "J\xff\xff\xff\xff\x85"))), SEWA_E_CORRUPT,
      "has the stride -1" },
    { "strides that add up past the end",
      B(STATE(TENSOR(FLOATS, N("\0"), TWO("\x03", "\x02"), TWO("\x02", "\x02")))), SEWA_E_CORRUPT,
      "reaches behind the end" },
    { "pytorch 184652: a quantized tensor",
      B(STATE(CALL("torch._utils", "_rebuild_qtensor", FLOATS N("\0") ONE("\x06") ONE("\x7f")))),
      SEWA_E_UNSUPPORTED, "'w' is a quantized tensor" },
    /* shapes */
    { "a negative dimension",
      B(STATE(TENSOR(FLOATS, N("\0"), "J\xff\xff\xff\xff\x85", ONE("\x01")))), SEWA_E_CORRUPT,
      "has the dimension -1" },
    { "elements without number",
      B(STATE(
          TENSOR(FLOATS, N("\0"), LONG("\0\0\0\0\0\0\0\x40") N("\x02") "\x86", TWO("\0", "\0")))),
      SEWA_E_CORRUPT, "has a shape without a number" },
    { "bytes without number",
      B(STATE(TENSOR(FLOATS, N("\0"), LONG("\0\0\0\0\0\0\0\x40") "\x85", ONE("\0")))),
      SEWA_E_CORRUPT, "has a shape without a number" },
    { "17 dimensions",
      B(STATE(
          TENSOR(FLOATS, N("\0"), "(K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1K\1t", ")"))),
      SEWA_E_UNSUPPORTED, "has more than 16 dimensions" },
    { "fewer strides", B(STATE(TENSOR(FLOATS, N("\0"), TWO("\x01", "\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has not as many strides as dimensions" },
    { "more strides", B(STATE(TENSOR(FLOATS, N("\0"), ONE("\x06"), TWO("\x01", "\x01")))),
      SEWA_E_CORRUPT, "has not as many strides as dimensions" },
    { "a shape that is a number", B(STATE(TENSOR(FLOATS, N("\0"), N("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "a shape or strides that are no tuple" },
    { "a shape of text", B(STATE(TENSOR(FLOATS, N("\0"), W "\x85", ONE("\x01")))), SEWA_E_CORRUPT,
      "has a dimension that is no integer" },
    { "torch.Size of nothing", B(STATE(TENSOR(FLOATS, N("\0"), "ctorch\nSize\n)R", ONE("\x01")))),
      SEWA_E_CORRUPT, "no tuple" },
    /* storages */
    { "a storage that is not there",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "9", N("\x06")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "'w' needs storage '9', which the archive does not have" },
    { "a storage whose name is a path",
      B(STATE(TENSOR("(" TEXT("\x07", "storage") "ctorch\nFloatStorage\n" TEXT(
                         "\x0b", "../data.pkl") TEXT("\x03", "cpu") N("\x06") "tQ",
                     N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "needs storage '../data.pkl'" },
    { "a storage whose name has a NUL",
      B(STATE(TENSOR(STORAGE("torch\nFloatStorage", "\0", N("\x06")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "has a storage without a name" },
    { "a storage whose name is a number",
      B(STATE(TENSOR("(" TEXT("\x07", "storage") "ctorch\nFloatStorage\n" N("\0")
                         TEXT("\x03", "cpu") N("\x06") "tQ",
                     N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has a storage without a name" },
    { "a tuple and no storage",
      B(STATE(
          TENSOR(ID("torch\nFloatStorage", "0", N("\x06")), N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "'w' has no storage" },
    { "an id that is a number", B(STATE(TENSOR("K\0Q", N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has no storage" },
    { "an id that is a list", B(STATE(TENSOR("]Q", N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has no storage" },
    { "an id that is no storage",
      B(STATE(TENSOR("(" TEXT("\x06", "module") "NNNNtQ", N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has no storage" },
    { "an id of four",
      B(STATE(TENSOR("(" TEXT("\x07", "storage") "NNNtQ", N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has no storage" },
    { "a view of a view",
      B(STATE(TENSOR("(" TEXT("\x07", "storage") "ctorch\nFloatStorage\n" TEXT("\x01", "0")
                         TEXT("\x03", "cpu") N("\x06") "(NNNttQ",
                     N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_UNSUPPORTED, "is a view of a view" },
    { "a storage of unknown type",
      B(STATE(
          TENSOR(STORAGE("torch\nOddStorage", "0", N("\x06")), N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_UNSUPPORTED, "elements of type torch.OddStorage" },
    { "a storage of no type",
      B(STATE(TENSOR("(" TEXT("\x07", "storage") "N" TEXT("\x01", "0") TEXT("\x03", "cpu")
                         N("\x06") "tQ",
                     N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_CORRUPT, "has a type that is no name" },
    { "a storage whose type is os.system",
      B(STATE(TENSOR(STORAGE("os\nsystem", "0", N("\x06")), N("\0"), ONE("\x06"), ONE("\x01")))),
      SEWA_E_UNSUPPORTED, "elements of type os.system" },
    { "complex halves",
      B(STATE(TENSOR(STORAGE("torch\nComplexHalfStorage", "0", N("\x06")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_UNSUPPORTED, "torch.ComplexHalfStorage" },
    { "untyped and without a type",
      B(STATE(TENSOR(STORAGE("torch.storage\nUntypedStorage", "0", N("\x18")), N("\0"), ONE("\x06"),
                     ONE("\x01")))),
      SEWA_E_CORRUPT, "elements without a type" },
    { "untyped and of too few bytes",
      B(STATE(V3(STORAGE("torch.storage\nUntypedStorage", "0", N("\x18")) N("\0") ONE("\x0d")
                     ONE("\x01") "\x89}ctorch\nuint16\n"))),
      SEWA_E_CORRUPT, "reaches behind the end" },
    { "of unknown type",
      B(STATE(V3(STORAGE("torch.storage\nUntypedStorage", "0", N("\x18")) N("\0") ONE("\x01")
                     ONE("\x01") "\x89}ctorch\nint3\n"))),
      SEWA_E_UNSUPPORTED, "of type torch.int3" },
    /* ways to make tensors */
    { "no arguments", B(STATE(V2(""))), SEWA_E_CORRUPT, "a wrong number of arguments" },
    { "too many arguments", B(STATE(V2(FLOATS N("\0") ONE("\x06") ONE("\x01") "\x89}}}"))),
      SEWA_E_CORRUPT, "a wrong number of arguments" },
    { "version 3 without a type", B(STATE(V3(FLOATS N("\0") ONE("\x06") ONE("\x01") "\x89}"))),
      SEWA_E_CORRUPT, "a wrong number of arguments" },
    { "negated",
      B(STATE(V2(FLOATS N("\0") ONE("\x06") ONE("\x01") "\x89}}" TEXT("\x03", "neg") "\x88s"))),
      SEWA_E_UNSUPPORTED, "is kept conjugated or negated" },
    { "a parameter of nothing", B(STATE(CALL("torch._utils", "_rebuild_parameter", ""))),
      SEWA_E_CORRUPT, "a wrong number of arguments" },
    { "a parameter of None", B(STATE(CALL("torch._utils", "_rebuild_parameter", "N\x88}"))),
      SEWA_E_UNSUPPORTED, "'w' is None and no tensor" },
    { "a parameter of itself",
      B("\x80\x02}" W "ctorch._utils\n_rebuild_parameter\n(]q\0\x88}tR"
        "s."),
      SEWA_E_UNSUPPORTED, "'w' is a list and no tensor" },
    { "parameters of parameters",
      B("\x80\x02}" W "ctorch._utils\n_rebuild_parameter\nq\0(h\0(h\0(h\0(h\0(h\0(h\0(h\0(h\0(" FINE
        "\x88}tR\x88}tR\x88}tR\x88}tR\x88}tR\x88}tR\x88}tR\x88}tR\x88}tRs."),
      SEWA_E_CORRUPT, "'w' is wrapped too often" },
    { "pytorch 169570: a type without a function",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2", ""))), SEWA_E_CORRUPT,
      "'w' is made with wrong arguments" },
    { "pytorch 169570: a function that is a number",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2", "K\0ctorch\nTensor\n)}"))),
      SEWA_E_CORRUPT, "is made with wrong arguments" },
    { "pytorch 169570: a class that is a text",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2",
                   "ctorch._utils\n_rebuild_tensor_v2\n" W ")}"))),
      SEWA_E_CORRUPT, "is made with wrong arguments" },
    { "pytorch 169570: arguments that are None",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2",
                   "ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\nN}"))),
      SEWA_E_CORRUPT, "is made with wrong arguments" },
    { "pytorch 169570: a function that is os.system",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2", "cos\nsystem\nctorch\nTensor\n)}"))),
      SEWA_E_UNSUPPORTED, "'w' is an object made with os.system and no tensor" },
    { "a class of its own",
      B(STATE(CALL("torch._tensor", "_rebuild_from_type_v2",
                   "ctorch._utils\n_rebuild_tensor_v2\ncmine\nT\n)}"))),
      SEWA_E_UNSUPPORTED, "is a tensor of class mine.T" },
    { "a sparse tensor", B(STATE(CALL("torch._utils", "_rebuild_sparse_tensor", "NN"))),
      SEWA_E_UNSUPPORTED, "is a sparse tensor" },
    { "a tensor without data",
      B(STATE(CALL("torch._utils", "_rebuild_meta_tensor_no_storage", "NNNN"))), SEWA_E_UNSUPPORTED,
      "is a tensor without data" },
    { "a sharded tensor",
      B(STATE(CALL("torch.distributed._shard.sharded_tensor.api", "ShardedTensor", ""))),
      SEWA_E_UNSUPPORTED, "is part of a sharded tensor" },
    /* what is no state */
    { "os.system",
      B("\x80\x02"
        "cos\nsystem\n" TEXT("\x02", "ls") "\x85R."),
      SEWA_E_UNSUPPORTED, "'f' is an object made with os.system, not a dictionary of tensors" },
    { "os.system as a tensor", B(ROOT(W FINE TEXT("\x01", "v") "cos\nsystem\n)R")),
      SEWA_E_UNSUPPORTED, "'v' is an object made with os.system and no tensor" },
    { "os.system as its own name", B(ROOT(W FINE TEXT("\x01", "v") "cos\nsystem\n")),
      SEWA_E_UNSUPPORTED, "'v' is the name os.system and no tensor" },
    { "eval of getattr", B(STATE("cbuiltins\neval\n" W "\x85R")), SEWA_E_UNSUPPORTED,
      "has no dictionary of names and tensors" },
    { "a model of somebody's class", B(ROOT(MODEL "cmy\nNet\n)\x81}b")), SEWA_E_UNSUPPORTED,
      "an object made with my.Net as its 'model': save model.state_dict()" },
    { "nothing", B("\x80\x02}."), SEWA_E_UNSUPPORTED, "but nothing" },
    { "None", B("\x80\x02N."), SEWA_E_UNSUPPORTED, "'f' is None, not a dictionary" },
    { "an OrderedDict of a list",
      B("\x80\x02"
        "ccollections\nOrderedDict\n]\x85R."),
      SEWA_E_UNSUPPORTED, "made with collections.OrderedDict" },
    { "a name that is there twice", B(ROOT(W FINE W FINE)), SEWA_E_CORRUPT,
      "two tensors have the name 'w'" },
    { "a name that is bytes", B(ROOT("U\x01w" FINE)), SEWA_E_UNSUPPORTED,
      "a tensor has bytes as its name" },
    { "a name with a NUL", B(ROOT(TEXT("\x03", "a\0b") FINE)), SEWA_E_UNSUPPORTED,
      "a text with NUL or past 1024 bytes" },
    { "a tensor in a list", B(ROOT(W FINE TEXT("\x01", "v") "]" FINE "a")), SEWA_E_UNSUPPORTED,
      "'v' is a list with tensors inside" },
    { "a tensor far down", B(ROOT(W FINE TEXT("\x01", "v") "](}" W "]" FINE "asNe")),
      SEWA_E_UNSUPPORTED, "'v' is a list with tensors inside" },
    { "a list of itself, ten times",
      B(ROOT(W FINE TEXT("\x01", "v") "]q\0(h\0h\0h\0h\0h\0h\0h\0h\0h\0h\0e")), 0,
      "they are no tensors: 'v'" },
    { "three states",
      B(ROOT(MODEL DICT(FINE) TEXT("\x03", "net") DICT(FINE) TEXT("\x06", "module") DICT(FINE))),
      SEWA_E_UNSUPPORTED, "has tensors in 'model', 'module', 'net': state_key says which" },
    { "two averages", B(ROOT(TEXT("\x03", "ema") DICT(FINE) TEXT("\x09", "model_ema") DICT(FINE))),
      SEWA_E_UNSUPPORTED, "has tensors in 'model_ema', 'ema'" },
    { "two of unknown name", B(ROOT(TEXT("\x01", "a") DICT(FINE) TEXT("\x01", "b") DICT(FINE))),
      SEWA_E_UNSUPPORTED, "has tensors in 'a', 'b'" },
    { "an optimizer alone", B(ROOT(TEXT("\x05", "state") "}" TEXT("\x0c", "param_groups") "]")),
      SEWA_E_UNSUPPORTED, "is the state of an optimizer" },
};

static int parse(const struct archive *a, const char *key, struct layout **ret,
                 struct sewa_error *err)
{
    struct checkpoint_options options = { .state_key = key };
    AUTOFREE uint8_t *bytes = malloc(a->bytes.len); /* exactly: reading on is noticed */

    memcpy(bytes, a->bytes.data, a->bytes.len);
    return torch_parse(bytes, a->bytes.len, "f", &options, ret, err);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    AUTO(archive_clear) struct archive a = { .count = 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    archive_checkpoint(&a, row->bytes, row->n);
    int rc = parse(&a, NULL, &l, &err);
    if (row->code) {
        assert_failed(rc, err, row->code, row->word);
        assert_null(l);
        return;
    }
    assert_ok(rc, err);
    assert_int_equal(l->count, 1);
    assert_string_equal(l->tensors[0].name, "w");
    if (*row->word)
        assert_true(l->note_count > 0 && strstr(l->notes[0], row->word));
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int code;
        const char *word;
    } keys[] = {
        { "model", 0, "model" },
        { "net", 0, "net" },
        { "model.inner", 0, "model.inner" },
        { "model/inner", 0, "model/inner" },
        { "a.b", 0, "a.b" },
        { "", SEWA_E_UNSUPPORTED, "has tensors in 'model', 'net'" },
        { ".", SEWA_E_UNSUPPORTED, "holds no tensors in ''" },
        { "nothing", SEWA_E_UNSUPPORTED, "has no 'nothing', but 'model', 'net', 'a.b'" },
        { "model.x", SEWA_E_UNSUPPORTED, "has no 'x', but 'w', 'inner'" },
        { "model.w", SEWA_E_UNSUPPORTED, "holds no tensors in 'model.w'" },
        { "model.w.x", SEWA_E_UNSUPPORTED, "holds no tensors in 'model.w.x'" },
    };
    static const char pickle[] = ROOT(MODEL "}(" W FINE TEXT("\x05", "inner") DICT(FINE) "u" TEXT(
        "\x03", "net") DICT(FINE) TEXT("\x03", "a.b") DICT(FINE));
    AUTO(archive_clear) struct archive a = { .count = 0 };

    archive_checkpoint(&a, pickle, sizeof pickle - 1);
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct sewa_error err = { 0 };
        int rc = parse(&a, keys[i].key, &l, &err);
        if (i == 0) /* "inner" lies within it: tensors in two places of one state */
            assert_failed(rc, err, SEWA_E_UNSUPPORTED, "'inner' is a dictionary with tensors");
        else if (keys[i].code)
            assert_failed(rc, err, keys[i].code, keys[i].word);
        else {
            assert_ok(rc, err);
            assert_string_equal(l->state_key, keys[i].word);
        }
    }
}

/* Files of other kinds, under PyTorch's names: the message says what they are. */
static void test_other_files(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int code;
        const char *word;
    } files[] = {
        { B(""), SEWA_E_INCOMPLETE, "no beginning yet" },
        { B("PK"), SEWA_E_INCOMPLETE, "no beginning yet" },
        { B("PK\3\4"), SEWA_E_INCOMPLETE, "end record" },
        { B("\0\0\0\0\0\0\0\0\0\0"), SEWA_E_INCOMPLETE, "may still be written" },
        { B("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02"),
          SEWA_E_UNSUPPORTED, "before PyTorch 1.6: save it again with torch.save(torch.load" },
        { B("\x80\x04\x95\0\0\0\0\0\0\0\0"), SEWA_E_UNSUPPORTED, "a bare pickle" },
        { B("GGUF\3\0\0\0"), SEWA_E_UNSUPPORTED, "a GGUF file" },
        { B("\x89HDF\r\n\x1a\n"), SEWA_E_UNSUPPORTED, "an HDF5 file" },
        { B("\x93NUMPY\1\0"), SEWA_E_UNSUPPORTED, "a NumPy array" },
        { B("\x1f\x8b\x08\0"), SEWA_E_UNSUPPORTED, "compressed with gzip" },
        { B("\x28\xb5\x2f\xfd"), SEWA_E_UNSUPPORTED, "compressed with zstd" },
        { B("version https://git-lfs.github.com/spec/v1\n"), SEWA_E_UNSUPPORTED, "a Git LFS" },
        { B("<!DOCTYPE html>"), SEWA_E_UNSUPPORTED, "an HTML page" },
        { B("\x08\x07\x12\x07pytorch"), SEWA_E_UNSUPPORTED, "ONNX" },
        { B("{\"a\": 1}"), SEWA_E_UNSUPPORTED, "JSON text" },
        { B("\x02\0\0\0\0\0\0\0{}"), SEWA_E_UNSUPPORTED, "a safetensors file: its name" },
        { B("hello, world"), SEWA_E_UNSUPPORTED, "begins with the bytes 68 65 6c 6c" },
    };

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct layout *l = NULL;
        struct sewa_error err = { 0 };
        assert_failed(torch_parse(files[i].bytes, files[i].n, "f", NULL, &l, &err), err,
                      files[i].code, files[i].word);
    }
    char tar[600] = "data";
    struct layout *l = NULL;
    struct sewa_error err = { 0 };
    memcpy(tar + 257, "ustar", 5);
    assert_failed(torch_parse(tar, sizeof tar, "f", NULL, &l, &err), err, SEWA_E_UNSUPPORTED,
                  "a tar archive");
}

/* A member of a size that only zip64 can say, in the middle of a file that is mostly a hole. */
static void put_wide(struct buf *b, const char *name, uint64_t bytes, uint32_t crc)
{
    struct archive a = { .count = 0 };

    a.bytes = *b;
    archive_number(&a, 0x04034b50, 4);
    archive_number(&a, 0, 2);
    archive_number(&a, 0x808, 2);
    archive_zeros(&a, 6);
    archive_number(&a, crc, 4);
    archive_number(&a, UINT64_MAX, 8); /* both sizes */
    archive_number(&a, strlen(name), 2);
    archive_number(&a, 20, 2);
    buf_text(&a.bytes, name);
    archive_number(&a, 1, 2);
    archive_number(&a, 16, 2);
    archive_number(&a, bytes, 8);
    archive_number(&a, bytes, 8);
    *b = a.bytes;
}

static void put_wide_entry(struct archive *a, const char *name, uint64_t bytes, uint64_t at,
                           uint32_t crc)
{
    archive_number(a, 0x02014b50, 4);
    archive_zeros(a, 4);
    archive_number(a, 0x808, 2);
    archive_zeros(a, 6);
    archive_number(a, crc, 4);
    archive_number(a, UINT64_MAX, 8);
    archive_number(a, strlen(name), 2);
    archive_number(a, 28, 2);
    archive_zeros(a, 10);
    archive_number(a, UINT32_MAX, 4);
    buf_text(&a->bytes, name);
    archive_number(a, 1, 2);
    archive_number(a, 24, 2);
    archive_number(a, bytes, 8);
    archive_number(a, bytes, 8);
    archive_number(a, at, 8);
}

static void put_wide_end(struct archive *a, uint64_t at, uint64_t count)
{
    uint64_t n = a->bytes.len;

    archive_number(a, 0x06064b50, 4);
    archive_number(a, 44, 8);
    archive_zeros(a, 12);
    archive_number(a, count, 8);
    archive_number(a, count, 8);
    archive_number(a, n, 8);
    archive_number(a, at, 8);
    archive_number(a, 0x07064b50, 4);
    archive_zeros(a, 4);
    archive_number(a, at + n, 8);
    archive_number(a, 1, 4);
    archive_number(a, 0x06054b50, 4);
    archive_zeros(a, 4);
    archive_number(a, UINT64_MAX, 8);
    archive_number(a, UINT32_MAX, 4);
    archive_zeros(a, 2);
    archive_poke(a, a->bytes.len - 10, n, 4);
}

/* Storages, and what lies behind them, past 4 GiB: a file that is a hole but for its ends. */
static void test_past_four_gigabytes(void **state)
{
    (void)state;
    static const char pickle[] =
        STATE(TENSOR(STORAGE("torch\nFloatStorage", "0", LONG("\0\0\0\x50\0\0\0\0")),
                     LONG("\xfa\xff\xff\x4f\0\0\0\0"), ONE("\x06"), ONE("\x01")));
    const uint64_t storage = UINT64_C(0x50000000) * 4; /* 5 GiB */
    const uint32_t crc = crc32_update(0, pickle, sizeof pickle - 1);
    AUTO(buf_clear) struct buf head = { 0 };
    AUTO(archive_clear) struct archive tail = { .count = 0 };
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    AUTOCLOSE int fd = memfd_create("wide", MFD_CLOEXEC);

    put_wide(&head, "a/data/0", storage, 1234);
    uint64_t second = head.len + storage;
    struct buf local = { 0 };
    put_wide(&local, "a/data.pkl", sizeof pickle - 1, crc);
    buf_append(&local, pickle, sizeof pickle - 1);
    put_wide_entry(&tail, "a/data/0", storage, 0, 1234);
    put_wide_entry(&tail, "a/data.pkl", sizeof pickle - 1, second, crc);
    put_wide_end(&tail, second + local.len, 2);
    assert_int_equal(pwrite_full(fd, head.data, head.len, 0), 0);
    assert_int_equal(pwrite_full(fd, local.data, local.len, (int64_t)second), 0);
    assert_int_equal(
        pwrite_full(fd, tail.bytes.data, tail.bytes.len, (int64_t)(second + local.len)), 0);
    int rc = torch_read(fd, "f", (int64_t)(second + local.len + tail.bytes.len), NULL, &l, &err);
    buf_clear(&local);
    assert_ok(rc, err);
    assert_int_equal(l->tensors[0].offset, head.len + storage - 24);
    assert_int_equal(l->storages[0].crc32, 1234);
    assert_int_equal(l->storages[0].bytes, storage);
}

enum { MANY = 10000, ONE_BYTES = 256 }; /* of 8 times 8 floats */

/* A pickle of MANY tensors that are slices of one storage, as torch.save writes them. */
static void put_many(struct buf *b)
{
    /* names that all of them need are in the memo, as a pickler puts them there */
    buf_append(
        b, B("\x80\x02"
             "ctorch._utils\n_rebuild_tensor_v2\nq\1"
             "0" TEXT("\x07", "storage") "q\2"
                                         "0"
                                         "ctorch\nFloatStorage\nq\3"
                                         "0" TEXT("\x03", "cpu") "q\4"
                                                                 "0"
                                                                 "ccollections\nOrderedDict\nq\5"
                                                                 "0"
                                                                 "}("));
    for (uint32_t i = 0; i < MANY; i++) {
        char name[64];
        int n = snprintf(name, sizeof name, "model.layers.%u.self_attn.q_proj.weight", i);
        buf_append(b, "X", 1);
        buf_append(b, (const char[]){ (char)n, 0, 0, 0 }, 4);
        buf_append(b, name, (size_t)n);
        buf_append(b, B("q\6h\1((h\2h\3" TEXT("\x01", "0") "q\7h\4J\0\xc4\x09\0tq\x08Q"));
        buf_char(b, 'J');
        for (int k = 0; k < 4; k++)
            buf_char(b, (char)(64 * i >> 8 * k));
        buf_append(b, B("K\x08K\x08\x86q\x09K\x08K\1\x86q\x0a\x89h\5)Rq\x0btq\x0cRq\x0d"));
    }
    buf_append(b, B("u."));
}

/* Memory stays below four times the file, and less once it is read. */
static void test_ten_thousand_tensors(void **state)
{
    (void)state;
    AUTO(archive_clear) struct archive a = { .count = 0 };
    AUTO(buf_clear) struct buf pickle = { 0 };
    AUTOFREE char *data = calloc(MANY, ONE_BYTES);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };

    put_many(&pickle);
    archive_add(&a, "a/data.pkl", pickle.data, pickle.len);
    archive_add(&a, "a/data/0", data, (size_t)MANY * ONE_BYTES);
    archive_finish(&a);
    int64_t before = alloc_held();
    alloc_peak_reset();
    assert_ok(torch_parse(a.bytes.data, a.bytes.len, "f", NULL, &l, &err), err);
    int64_t peak = alloc_peak() - before, held = alloc_held() - before;
    assert_int_equal(l->count, MANY);
    assert_int_equal(layout_find(l, "model.layers.77.self_attn.q_proj.weight")->offset,
                     (int64_t)a.data[1] + 77 * ONE_BYTES);
    assert_true(layout_is_plain(l, NULL));
    assert_true(peak < 4 * (int64_t)a.bytes.len);
    assert_true(held < 2 * (int64_t)a.bytes.len);
}

/* Every allocation fails once. */
static void test_without_memory(void **state)
{
    (void)state;
    static const char pickle[] =
        ROOT(MODEL DICT(FINE) TEXT("\x03", "opt") "}" TEXT("\x03", "ema") DICT(FINE));
    AUTO(archive_clear) struct archive a = { .count = 0 };
    int64_t n = 0;

    archive_checkpoint(&a, pickle, sizeof pickle - 1);
    for (;; n++) {
        struct layout *l = NULL;
        struct sewa_error err = { 0 };
        int64_t before = alloc_held();
        alloc_fail_at(n);
        int rc = torch_parse(a.bytes.data, a.bytes.len, "f", NULL, &l, &err);
        if (!alloc_fired()) {
            assert_ok(rc, err);
            layout_free(l);
            assert_int_equal(alloc_held(), before);
            break;
        }
        assert_failed(rc, err, SEWA_E_NO_MEMORY, "no memory");
        assert_int_equal(alloc_held(), before);
    }
    assert_true(n >= 15);
}

int main(void)
{
    struct CMUnitTest tests[COUNT_OF(rows) + 5];
    size_t n = 0;

    for (; n < COUNT_OF(rows); n++)
        tests[n] = (struct CMUnitTest){ rows[n].name, test_row, NULL, NULL, (void *)&rows[n] };
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_keys);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_other_files);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_past_four_gigabytes);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_ten_thousand_tensors);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_without_memory);
    return _cmocka_run_group_tests("torch", tests, n, NULL, NULL);
}
