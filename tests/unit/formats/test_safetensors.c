/*
 * test_safetensors - good and hostile headers, one row each. Every row is read with windows of many
 * sizes, from memory and from a descriptor: code and message must be the same, wherever the edge of
 * the window falls.
 */
#include "support/support.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "formats/safetensors.h"
#include "formats/window.h"

#include "header_text.h"

struct row {
    const char *name;
    const char *text; /* of the header */
    size_t n;         /* its length; 0: that of the string */
    int64_t data;     /* bytes of the file behind the header */
    int code;
    const char *word; /* of the message */
};

#define ONE                         "{\"a\":" TENSOR("F32", "[2]", "[0,8]")
#define WITH(extra)                 "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]," extra "}}"
#define SHAPED(shape, offsets)      "{\"a\":" TENSOR("F32", shape, offsets) "}"
#define TYPED(type, shape, offsets) "{\"a\":" TENSOR(type, shape, offsets) "}"
#define NAMED(name)                 "{\"" name "\":" TENSOR("F32", "[2]", "[0,8]") "}"
#define TEXT(s)                     s, sizeof(s) - 1

#define TEN(s)     s s s s s s s s s s
#define HUNDRED(s) TEN(TEN(s))
#define NAME_1024  TEN(HUNDRED("n")) "012345678901234567890123"

static const struct row good[] = {
    { "one tensor", ONE "}", 0, 8 },
    { "no tensor", "{}", 0, 0 },
    { "padding of spaces", ONE "}     ", 0, 8 },
    { "padding of other white space", ONE "}\n\t\r ", 0, 8 },
    { "white space everywhere",
      "{ \"a\" :\n{ \"dtype\"\t: \"F32\" , \"shape\" : [ 2 ] ,\r\n\"data_offsets\" : [ 0 , 8 ] } }",
      0, 8 },
    { "fields in another order", "{\"a\":{\"data_offsets\":[0,8],\"shape\":[2],\"dtype\":\"F32\"}}",
      0, 8 },
    { "row 36: rank 0", SHAPED("[]", "[0,4]"), 0, 4 },
    { "row 36: an empty tensor", SHAPED("[3,0,5]", "[0,0]"), 0, 0 },
    { "row 36: 2^31 elements", TYPED("U8", "[2147483648]", "[0,2147483648]"), 0, 2147483648 },
    { "row 36: a name in Greek", NAMED("\xce\xb2\xce\xaf\xce\xb1\xcf\x82"), 0, 8 },
    { "row 36: an empty name", NAMED(""), 0, 8 },
    { "empty tensors at both ends of another",
      "{\"z\":" TENSOR("F32", "[2]", "[0,8]") ",\"b\":" TENSOR(
          "F32", "[0]", "[0,0]") ",\"c\":" TENSOR("F32", "[0]", "[8,8]") "}",
      0, 8 },
    { "tensors not in order of offsets",
      "{\"b\":" TENSOR("I64", "[1]", "[8,16]") ",\"a\":" TENSOR("F64", "[1]", "[0,8]") "}", 0, 16 },
    { "rank 16", SHAPED("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]"), 0, 8 },
    { "a name of 1,024 bytes", NAMED(NAME_1024), 0, 8 },
    { "a zero before an overflow", SHAPED("[0,4611686018427387904,4]", "[0,0]"), 0, 0 },
    { "a zero behind 2^63", SHAPED("[4611686018427387904,2,0]", "[0,0]"), 0, 0 },
    { "2^61 bytes less one", TYPED("U8", "[2305843009213693951]", "[0,2305843009213693951]"), 0,
      2305843009213693951 },
    { "F4: two in a byte", TYPED("F4", "[3,2]", "[0,3]"), 0, 3 },
    { "F6: four in three bytes", TYPED("F6_E3M2", "[4]", "[0,3]"), 0, 3 },
    { "FNUZ", TYPED("F8_E4M3FNUZ", "[5]", "[0,5]"), 0, 5 },
    { "complex", TYPED("C64", "[1]", "[0,8]"), 0, 8 },
    { "metadata", "{" METADATA("{\"format\":\"pt\",\"\":\"\"}") "}", 0, 0 },
    { "empty metadata", "{" METADATA("{}") "}", 0, 0 },
    { "metadata that are null", "{" METADATA("null") "}", 0, 0 },
    { "metadata at the end", ONE "," METADATA("{\"a\":\"b\"}") "}", 0, 8 },
    { "metadata with an escaped key", "{\"\\u005f_metadata__\":{\"a\":\"b\"}}", 0, 0 },
    { "a metadata key as long as it likes", "{" METADATA("{\"" NAME_1024 "x\":\"\"}") "}", 0, 0 },
    { "all escapes", NAMED("\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC\\ud83d\\uDE00"), 0, 8 },
    { "the last character of each length of UTF-8",
      NAMED("\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf"), 0, 8 },
    { "characters around the surrogates", NAMED("\xed\x9f\xbf\xee\x80\x80\\ud7ff\\ue000"), 0, 8 },
    { "an unknown field", WITH("\"z\":1"), 0, 8 },
    { "an unknown field of any kind",
      WITH("\"z\":[1,-2.5e+3,{\"a\":{},\"a\":[]},\"\\u0000x\",true,false,null,[],{}]"), 0, 8 },
    { "unknown containers of both kinds, one after the other",
      WITH("\"z\":[{\"a\":1},[1,2],{\"b\":[2,{\"c\":3}],\"d\":4},[[],{}]]"), 0, 8 },
    { "a field named as nothing", WITH("\"\":0"), 0, 8 },
    { "16 unknown fields",
      WITH(
          "\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,"
          "\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0"),
      0, 8 },
    { "125 containers in a tensor",
      WITH("\"z\":" HUNDRED("[") TEN("[") TEN("[") "[[[[["
                                                   "]]]]]" TEN("]") TEN("]") HUNDRED("]")),
      0, 8 },
};

static const struct row bad[] = {
    /* not JSON */
    { "no object", "[]", 0, 0, SEWA_E_CORRUPT, "offset 8: expected '{', found '['" },
    { "a space before the object", " {}", 0, 0, SEWA_E_CORRUPT,
      "offset 8: expected '{', found byte" },
    { "a byte order mark", "\xef\xbb\xbf{}", 0, 0, SEWA_E_CORRUPT, "offset 8: " },
    { "object not closed", "{", 0, 0, SEWA_E_CORRUPT,
      "offset 9: expected a string, and the header ends" },
    { "tensor not closed", "{\"a\":{\"dtype\":\"F32\"", 0, 0, SEWA_E_CORRUPT, "',' or '}'" },
    { "string not closed", "{\"a", 0, 0, SEWA_E_CORRUPT,
      "offset 11: expected the end of a string" },
    { "array not closed", "{\"a\":{\"shape\":[1,2", 0, 0, SEWA_E_CORRUPT, "',' or ']'" },
    { "no colon", "{\"a\"{}}", 0, 0, SEWA_E_CORRUPT, "expected ':', found '{'" },
    { "no key", "{a:1}", 0, 0, SEWA_E_CORRUPT, "offset 9: expected a string, found 'a'" },
    { "a comma too many", ONE ",}", 0, 8, SEWA_E_CORRUPT, "expected a string, found '}'" },
    { "a comma first", "{,\"a\":1}", 0, 0, SEWA_E_CORRUPT, "expected a string, found ','" },
    { "a comma too many in a shape", SHAPED("[2,]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "expected a whole number, found ']'" },
    { "no comma in a shape", SHAPED("[1 2]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "',' or ']'" },
    { "a bracket of the other kind", SHAPED("[2}", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "',' or ']'" },
    { "text behind the object", "{}x", 0, 0, SEWA_E_CORRUPT, "offset 10: byte 0x78 behind" },
    { "zeros as padding", TEXT("{}\0\0"), 0, SEWA_E_CORRUPT, "offset 10: byte 0x00 behind" },
    { "a comment", "{/**/}", 0, 0, SEWA_E_CORRUPT, "found '/'" },
    { "a form feed as white space", "{\f}", 0, 0, SEWA_E_CORRUPT, "byte 0x0c" },
    /* strings */
    { "a control character in a name", NAMED("a\nb"), 0, 8, SEWA_E_CORRUPT, "byte 0x0a" },
    { "a NUL in a name", TEXT("{\"a\0b\":1}"), 0, SEWA_E_CORRUPT, "byte 0x00" },
    { "an escaped NUL in a name", NAMED("a\\u0000b"), 0, 8, SEWA_E_UNSUPPORTED,
      "offset 11: U+0000" },
    { "an escaped NUL in metadata", "{" METADATA("{\"a\":\"\\u0000\"}") "}", 0, 0,
      SEWA_E_UNSUPPORTED, "U+0000" },
    { "an unknown escape", NAMED("\\x41"), 0, 8, SEWA_E_CORRUPT, "offset 11: expected one of" },
    { "three digits", NAMED("\\u12g4"), 0, 8, SEWA_E_CORRUPT,
      "offset 14: expected a hexadecimal digit, found 'g'" },
    { "digits cut by the end", "{\"\\u12", 0, 0, SEWA_E_CORRUPT, "four hexadecimal digits" },
    { "escape cut by the end", "{\"\\", 0, 0, SEWA_E_CORRUPT, "an escaped character" },
    { "a first half alone", NAMED("\\ud83d"), 0, 8, SEWA_E_CORRUPT, "second half" },
    { "a first half and a letter", NAMED("\\ud83dabcdefgh"), 0, 8, SEWA_E_CORRUPT, "second half" },
    { "a first half and another", NAMED("\\ud83d\\ud83d"), 0, 8, SEWA_E_CORRUPT, "found U+D83D" },
    { "a first half and U+DBFF", NAMED("\\ud83d\\udbff"), 0, 8, SEWA_E_CORRUPT, "found U+DBFF" },
    { "a first half and U+E000", NAMED("\\ud83d\\ue000"), 0, 8, SEWA_E_CORRUPT, "found U+E000" },
    { "the last first half alone", NAMED("\\udbff"), 0, 8, SEWA_E_CORRUPT, "second half" },
    { "a first half and no digits", NAMED("\\ud83d\\uzzzz"), 0, 8, SEWA_E_CORRUPT, "found 'z'" },
    { "a first half at the end", "{\"\\ud83d\\u", 0, 0, SEWA_E_CORRUPT, "second half" },
    { "a second half alone", NAMED("\\ude00"), 0, 8, SEWA_E_CORRUPT, "without the first" },
    { "a continuation byte alone", NAMED("\x80"), 0, 8, SEWA_E_CORRUPT,
      "offset 10: byte 0x80 is not" },
    { "an overlong form", NAMED("\xc0\xaf"), 0, 8, SEWA_E_CORRUPT, "byte 0xc0 is not UTF-8" },
    { "an overlong form of three", NAMED("\xe0\x9f\xbf"), 0, 8, SEWA_E_CORRUPT,
      "byte 0xe0 is not" },
    { "a surrogate in UTF-8", NAMED("\xed\xa0\x80"), 0, 8, SEWA_E_CORRUPT,
      "byte 0xed is not UTF-8" },
    { "past U+10FFFF", NAMED("\xf4\x90\x80\x80"), 0, 8, SEWA_E_CORRUPT, "byte 0xf4 is not UTF-8" },
    { "byte 0xff", NAMED("\xff"), 0, 8, SEWA_E_CORRUPT, "byte 0xff is not UTF-8" },
    { "a sequence cut by a quote", NAMED("\xe2\x82"), 0, 8, SEWA_E_CORRUPT,
      "byte 0xe2 is not UTF-8" },
    { "a sequence cut by the end", "{\"\xe2\x82", 0, 0, SEWA_E_CORRUPT, "the rest of a character" },
    { "UTF-8 outside a string", "{\xc3\xa4}", 0, 0, SEWA_E_CORRUPT, "byte 0xc3" },
    { "bad UTF-8 in a skipped value", WITH("\"z\":\"\xff\""), 0, 8, SEWA_E_CORRUPT, "not UTF-8" },
    { "a name of 1,025 bytes", NAMED(NAME_1024 "x"), 0, 8, SEWA_E_UNSUPPORTED,
      "offset 9: a string of more than 1024 bytes" },
    { "a name of 1,025 bytes with an escape", NAMED(NAME_1024 "\\n"), 0, 8, SEWA_E_UNSUPPORTED,
      "more than 1024 bytes" },
    /* numbers */
    { "a real number", SHAPED("[2.0]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "offset 38: expected the end of a whole number, found '.'" },
    { "an exponent", SHAPED("[2e0]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "expected the end of a whole number, found 'e'" },
    { "minus zero", SHAPED("[-0,2]", "[0,0]"), 0, 0, SEWA_E_CORRUPT, "found '-'" },
    { "a negative dimension", SHAPED("[-2]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "found '-'" },
    { "a leading zero", SHAPED("[02]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "found '2'" },
    { "a plus sign", SHAPED("[+2]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "found '+'" },
    { "a number in quotes", SHAPED("[\"2\"]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "found '\"'" },
    { "row 25: a dimension of 2^63", SHAPED("[9223372036854775808]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "offset 37: a number larger than" },
    { "row 25: a dimension of 2^64 + 2", SHAPED("[18446744073709551618]", "[0,8]"), 0, 8,
      SEWA_E_CORRUPT, "a number larger than" },
    { "row 25: a product of 2^64", SHAPED("[4294967296,4294967296]", "[0,0]"), 0, 0, SEWA_E_CORRUPT,
      "has no number of elements" },
    { "row 25: a product of 2^64, and a zero", SHAPED("[4294967296,4294967296,0]", "[0,0]"), 0, 0,
      SEWA_E_CORRUPT, "has no number of elements" },
    { "row 25: 2^63 elements", TYPED("U8", "[2,4611686018427387904]", "[0,0]"), 0, 0,
      SEWA_E_CORRUPT, "more than a file can hold" },
    { "row 25: 2^62 elements of four bytes", SHAPED("[4611686018427387904]", "[0,0]"), 0, 0,
      SEWA_E_CORRUPT, "has no whole number of bytes" },
    { "row 25: 2^61 bytes, 2^64 bits",
      TYPED("U8", "[2305843009213693952]", "[0,2305843009213693952]"), 0, 2305843009213693952,
      SEWA_E_CORRUPT, "has no whole number of bytes" },
    { "row 25: an offset near 2^63",
      TYPED("U8", "[9223372036854775807]", "[0,9223372036854775807]"), 0, 0, SEWA_E_CORRUPT,
      "behind the end of every file" },
    /* tensors */
    { "a tensor that is null", "{\"a\":null}", 0, 0, SEWA_E_CORRUPT, "the '{' of a tensor" },
    { "a tensor that is an array", "{\"a\":[\"F32\",[2],[0,8]]}", 0, 8, SEWA_E_CORRUPT,
      "the '{' of a tensor" },
    { "an empty tensor object", "{\"a\":{}}", 0, 0, SEWA_E_CORRUPT,
      "offset 9: tensor 'a' lacks dtype shape data_offsets" },
    { "no dtype", "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 0, 8, SEWA_E_CORRUPT,
      "tensor 'a' lacks dtype" },
    { "no shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 0, 8, SEWA_E_CORRUPT,
      "tensor 'a' lacks shape" },
    { "no offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 0, 8, SEWA_E_CORRUPT,
      "tensor 'a' lacks data_offsets" },
    { "an unknown type", TYPED("F128", "[2]", "[0,32]"), 0, 32, SEWA_E_UNSUPPORTED,
      "offset 22: the type 'F128' is not known" },
    { "a type in lower case", TYPED("f32", "[2]", "[0,8]"), 0, 8, SEWA_E_UNSUPPORTED, "'f32'" },
    { "a type to scare a terminal", TYPED("\\u001b[2J", "[2]", "[0,8]"), 0, 8, SEWA_E_UNSUPPORTED,
      "'?[2J'" },
    { "an empty type", TYPED("", "[2]", "[0,8]"), 0, 8, SEWA_E_UNSUPPORTED, "the type ''" },
    { "a type that is an object", "{\"a\":{\"dtype\":{\"F32\":null}}}", 0, 8, SEWA_E_CORRUPT,
      "expected a string, found '{'" },
    { "rank 17", SHAPED("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2]", "[0,8]"), 0, 8, SEWA_E_UNSUPPORTED,
      "more than 16 dimensions" },
    { "a shape that is null", SHAPED("null", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "expected '['" },
    { "a shape in a shape", SHAPED("[[2]]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "found '['" },
    { "one offset", SHAPED("[2]", "[8]"), 0, 8, SEWA_E_CORRUPT,
      "expected two data offsets, found one" },
    { "no offset", SHAPED("[2]", "[]"), 0, 8, SEWA_E_CORRUPT, "found none" },
    { "three offsets", SHAPED("[2]", "[0,8,8]"), 0, 8, SEWA_E_CORRUPT, "found more" },
    { "offsets backwards", SHAPED("[0]", "[8,0]"), 0, 8, SEWA_E_CORRUPT, "from 8 back to 0" },
    { "a span too short", SHAPED("[3]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "tensor 'a' of type F32 and shape [3] needs 12 bytes and is given 8" },
    { "a span too long", SHAPED("[1]", "[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "needs 4 bytes and is given 8" },
    { "an empty tensor with bytes", SHAPED("[0]", "[0,8]"), 0, 8, SEWA_E_CORRUPT, "needs 0 bytes" },
    { "half a byte", TYPED("F4", "[3]", "[0,2]"), 0, 2, SEWA_E_CORRUPT,
      "no whole number of bytes" },
    { "a name in a message is cut and cleaned", "{\"" HUNDRED("n") "\\u001b\\u0085x\":{}}", 0, 0,
      SEWA_E_CORRUPT, "'nnnnnnnnnnnnnnnnnnnn...nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn???x' lacks" },
    /* duplicates */
    { "row 25: two tensors of one name", ONE ",\"a\":" TENSOR("F32", "[2]", "[8,16]") "}", 0, 16,
      SEWA_E_CORRUPT, "two tensors have the name 'a' (data at offsets 116 and 124)" },
    { "row 25: two equal tensors", ONE ",\"a\":" TENSOR("F32", "[2]", "[0,8]") "}", 0, 8,
      SEWA_E_CORRUPT, "two tensors have the name 'a'" },
    { "row 25: a name, and the same escaped",
      ONE ",\"\\u0061\":" TENSOR("F32", "[2]", "[8,16]") "}", 0, 16, SEWA_E_CORRUPT,
      "two tensors have the name 'a'" },
    { "row 25: dtype twice", WITH("\"dtype\":\"F32\""), 0, 8, SEWA_E_CORRUPT,
      "'dtype' is there twice" },
    { "row 25: shape twice", WITH("\"shape\":[2]"), 0, 8, SEWA_E_CORRUPT,
      "'shape' is there twice" },
    { "row 25: offsets twice", WITH("\"data_offsets\":[0,8]"), 0, 8, SEWA_E_CORRUPT,
      "'data_offsets' is there twice" },
    { "row 25: an unknown field twice", WITH("\"z\":1,\"z\":1"), 0, 8, SEWA_E_CORRUPT,
      "a field of a tensor is there twice" },
    { "row 25: metadata twice", "{" METADATA("{}") "," METADATA("{}") "}", 0, 0, SEWA_E_CORRUPT,
      "'__metadata__' is there twice" },
    { "row 25: null metadata twice", "{" METADATA("null") "," METADATA("null") "}", 0, 0,
      SEWA_E_CORRUPT, "'__metadata__' is there twice" },
    { "row 25: a metadata key twice", "{" METADATA("{\"a\":\"1\",\"b\":\"\",\"a\":\"2\"}") "}", 0,
      0, SEWA_E_CORRUPT, "the metadata have the key 'a' twice" },
    /* metadata */
    { "metadata that are an array", "{" METADATA("[]") "}", 0, 0, SEWA_E_CORRUPT,
      "'__metadata__'" },
    { "metadata with a number", "{" METADATA("{\"a\":1}") "}", 0, 0, SEWA_E_CORRUPT,
      "expected a string, found '1'" },
    { "metadata with null", "{" METADATA("{\"a\":null}") "}", 0, 0, SEWA_E_CORRUPT, "found 'n'" },
    { "metadata with an object", "{" METADATA("{\"a\":{}}") "}", 0, 0, SEWA_E_CORRUPT,
      "found '{'" },
    { "metadata that are nul", "{" METADATA("nul") "}", 0, 0, SEWA_E_CORRUPT, "expected null" },
    /* values that are skipped are JSON all the same */
    { "126 containers in a tensor",
      WITH("\"z\":" HUNDRED("[") TEN("[") TEN("[") "[[[[[["
                                                   "]]]]]]" TEN("]") TEN("]") HUNDRED("]")),
      0, 8, SEWA_E_CORRUPT, "nested deeper than 127" },
    { "17 unknown fields",
      WITH(
          "\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,"
          "\"l\":0,\"m\":0,\"n\":0,\"o\":0,\"p\":0,\"q\":0"),
      0, 8, SEWA_E_UNSUPPORTED, "more than 16 unknown fields" },
    { "a skipped word", WITH("\"z\":maybe"), 0, 8, SEWA_E_CORRUPT, "expected a value, found 'm'" },
    { "a skipped half of a word", WITH("\"z\":tru"), 0, 8, SEWA_E_CORRUPT,
      "expected true, found '}'" },
    { "a skipped number with two points", WITH("\"z\":1.2.3"), 0, 8, SEWA_E_CORRUPT,
      "'1.2.3' is not" },
    { "a skipped number that ends early", WITH("\"z\":1."), 0, 8, SEWA_E_CORRUPT, "'1.' is not" },
    { "a skipped exponent that ends early", WITH("\"z\":1e+"), 0, 8, SEWA_E_CORRUPT,
      "'1e+' is not" },
    { "a skipped leading zero", WITH("\"z\":-01"), 0, 8, SEWA_E_CORRUPT, "'-01' is not a number" },
    { "a skipped minus", WITH("\"z\":-"), 0, 8, SEWA_E_CORRUPT, "'-' is not a number" },
    { "a skipped number past a double", WITH("\"z\":1e999"), 0, 8, SEWA_E_CORRUPT, "out of range" },
    { "a skipped number of 64 characters", WITH("\"z\":" TEN("123456") "7890"), 0, 8,
      SEWA_E_UNSUPPORTED, "more than 63 characters" },
    { "a skipped object without a key", WITH("\"z\":{1:2}"), 0, 8, SEWA_E_CORRUPT, "found '1'" },
    { "a skipped object without a colon", WITH("\"z\":{\"a\",1}"), 0, 8, SEWA_E_CORRUPT,
      "expected ':'" },
    { "a skipped comma too many", WITH("\"z\":[1,]"), 0, 8, SEWA_E_CORRUPT, "a value, found ']'" },
    { "a skipped bracket of the other kind", WITH("\"z\":[1}"), 0, 8, SEWA_E_CORRUPT,
      "',' or ']'" },
    { "a skipped string with a control character", WITH("\"z\":\"\x1f\""), 0, 8, SEWA_E_CORRUPT,
      "byte 0x1f" },
    { "a skipped half of a pair", WITH("\"z\":\"\\ud800\""), 0, 8, SEWA_E_CORRUPT, "second half" },
    /* places */
    { "row 25: an overlap", ONE ",\"b\":" TENSOR("F32", "[2]", "[4,12]") "}", 0, 12, SEWA_E_CORRUPT,
      "offset 120: tensor 'b' begins here, and 'a' goes on to offset 124" },
    { "row 25: the same place twice", ONE ",\"b\":" TENSOR("F32", "[2]", "[0,8]") "}", 0, 8,
      SEWA_E_CORRUPT, "tensor 'b' begins here, and 'a' goes on" },
    { "row 25: an empty tensor inside another", ONE ",\"b\":" TENSOR("F32", "[0]", "[4,4]") "}", 0,
      8, SEWA_E_CORRUPT, "tensor 'b' begins here" },
    { "row 25: a hole", ONE ",\"b\":" TENSOR("F32", "[2]", "[12,20]") "}", 0, 20, SEWA_E_CORRUPT,
      "offset 125: the 4 bytes before tensor 'b' belong to no tensor" },
    { "row 25: a hole at the start", SHAPED("[2]", "[8,16]"), 0, 16, SEWA_E_CORRUPT,
      "offset 63: the 8 bytes before tensor 'a'" },
    { "row 25: a tail", ONE "}", 0, 9, SEWA_E_CORRUPT,
      "offset 70: the last tensor ends here, and the file at 71" },
    { "a tail without tensors", "{}", 0, 1, SEWA_E_CORRUPT,
      "offset 10: the last tensor ends here" },
    /* files that may be growing */
    { "row 11: data cut", ONE "}", 0, 7, SEWA_E_INCOMPLETE,
      "has 69 bytes, its header tells of 70" },
    { "row 11: no data yet", ONE "}", 0, 0, SEWA_E_INCOMPLETE,
      "has 62 bytes, its header tells of 70" },
    { "row 11: a header of zeros", TEXT("\0\0\0\0\0\0\0\0\0\0"), 100, SEWA_E_INCOMPLETE,
      "zero from offset 8 on" },
    { "row 11: zeros in a name", TEXT("{\"weig\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), 100,
      SEWA_E_INCOMPLETE, "zero from offset 14 on" },
    { "row 11: zeros in a number", TEXT("{\"a\":{\"shape\":[12\0\0\0"), 100, SEWA_E_INCOMPLETE,
      "zero from offset 25 on" },
    { "row 11: zeros in a character", TEXT("{\"\xe2\x82\0\0\0\0"), 100, SEWA_E_INCOMPLETE,
      "zero from offset 12 on" },
    { "row 11: zeros in an escape", TEXT("{\"\\u00\0\0\0\0"), 100, SEWA_E_INCOMPLETE,
      "zero from offset 14 on" },
    { "row 11: zeros in a skipped number", TEXT("{\"a\":{\"z\":-1e\0\0\0\0"), 100,
      SEWA_E_INCOMPLETE, "zero from offset 21 on" },
    { "zeros, and something behind them", TEXT("{\"a\":\0\0\0\0\0}"), 100, SEWA_E_CORRUPT,
      "byte 0x00" },
};

/* What does not fit the pattern "length field, header, data". */
struct raw {
    const char *name;
    const char *bytes; /* at the start of the file */
    size_t n;
    int64_t file_bytes;
    int code;
    const char *word;
};

static const struct raw raw[] = {
    { "row 11: an empty file", TEXT(""), 0, SEWA_E_INCOMPLETE, "has 0 bytes" },
    { "row 11: seven bytes", TEXT("\x10\0\0\0\0\0\0"), 7, SEWA_E_INCOMPLETE, "has 7 bytes" },
    { "row 11: the length field alone", TEXT("\x10\0\0\0\0\0\0\0"), 8, SEWA_E_INCOMPLETE,
      "ends at byte 8 and its header at byte 24" },
    { "row 11: half of a header", TEXT("\x40\0\0\0\0\0\0\0{\"a\":{\"dty"), 18, SEWA_E_INCOMPLETE,
      "ends at byte 18 and its header at byte 72" },
    { "row 11: cut within a character", TEXT("\x40\0\0\0\0\0\0\0{\"\xe2\x82"), 12,
      SEWA_E_INCOMPLETE, "ends at byte 12" },
    { "row 11: cut within an escape", TEXT("\x40\0\0\0\0\0\0\0{\"\\ud83d\\"), 17, SEWA_E_INCOMPLETE,
      "ends at byte 17" },
    { "row 11: cut within the padding", TEXT("\x08\0\0\0\0\0\0\0{}  "), 12, SEWA_E_INCOMPLETE,
      "ends at byte 12 and its header at byte 16" },
    { "row 11: cut behind the object", TEXT("\x08\0\0\0\0\0\0\0{}"), 10, SEWA_E_INCOMPLETE,
      "ends at byte 10" },
    { "row 11: shorter than stat said", TEXT("\x40\0\0\0\0\0\0\0{\"a\":"), 1000, SEWA_E_INCOMPLETE,
      "ends at byte 13" },
    { "row 11: the length field itself is shorter than stat said", TEXT("\x40\0\0"), 1000,
      SEWA_E_INCOMPLETE, "has 3 bytes" },
    { "row 11: preallocated", TEXT("\0\0\0\0\0\0\0\0\0\0\0\0"), 1 << 20, SEWA_E_INCOMPLETE,
      "the length field of 'f' is zero" },
    { "half of a header that is wrong", TEXT("\x40\0\0\0\0\0\0\0{\"a\":7"), 14, SEWA_E_CORRUPT,
      "offset 13: expected the '{' of a tensor, found '7'" },
    { "half of a header that never was one", TEXT("\x40\0\0\0\0\0\0\0hello"), 13, SEWA_E_CORRUPT,
      "offset 8: expected '{'" },
    { "row 25: a header of 100,000,001 bytes", TEXT("\x01\xe1\xf5\x05\0\0\0\0{}"), 200000000,
      SEWA_E_CORRUPT, "says 100000001 bytes of header, at most 100000000 are allowed" },
    { "a header of 100,000,000 bytes may come", TEXT("\0\xe1\xf5\x05\0\0\0\0{"), 9,
      SEWA_E_INCOMPLETE, "ends at byte 9 and its header at byte 100000008" },
    { "row 25: a length of 2^64 - 1", TEXT("\xff\xff\xff\xff\xff\xff\xff\xff{}"), 10,
      SEWA_E_CORRUPT, "says 18446744073709551615 bytes" },
    { "a Git LFS pointer", TEXT("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), 57,
      SEWA_E_CORRUPT, "begins like a Git LFS pointer" },
    { "a PyTorch file", TEXT("PK\3\4\0\0\x08\x08\0\0"), 1000, SEWA_E_CORRUPT, "a zip archive" },
    { "a pickle", TEXT("\x80\2}q\0X\0\0\0"), 1000, SEWA_E_CORRUPT, "begins like a pickle" },
    { "an index", TEXT("{\"weight_map\":{}}"), 17, SEWA_E_CORRUPT, "begins like bare JSON" },
    { "an error page", TEXT("<!DOCTYPE html>"), 15, SEWA_E_CORRUPT, "begins like an HTML page" },
};

static const size_t windows[] = { 16, 17, 19, 23, 31, 64, WINDOW_BYTES };

/* Read bytes as @source says; whatever comes out must be as before. */
static void read_again(const struct window_source *source, size_t window, int64_t file_bytes,
                       int wanted, const char *text)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int rc = safetensors_read_from(source, window, file_bytes, &l, &err);

    assert_string_equal(err.text, text);
    assert_int_equal(rc, wanted);
    assert_true((l != NULL) == (rc == 0));
}

static void check(const void *bytes, size_t n, int64_t file_bytes, int code, const char *word)
{
    AUTOPTR(layout_free) struct layout *l = NULL;
    AUTOCLOSE int fd = memfd_create("header", 0);
    struct sewa_error err = { 0 };
    int rc = safetensors_parse(bytes, n, "f", file_bytes, &l, &err);

    if (code == 0)
        assert_ok(rc, err);
    else
        assert_failed(rc, err, code, word);
    assert_true((l != NULL) == (rc == 0));
    assert_int_equal(write(fd, bytes, n), n);
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        struct window_source memory = { .name = "f", .fd = -1, .bytes = bytes, .n = n };
        struct window_source file = { .name = "f", .fd = fd };
        read_again(&memory, windows[i], file_bytes, rc, err.text);
        read_again(&file, windows[i], file_bytes, rc, err.text);
    }
    if (code != 0) /* err may be NULL */
        assert_int_equal(safetensors_parse(bytes, n, "f", file_bytes, &l, NULL), code);
}

static void test_row(void **state)
{
    const struct row *row = *state;
    size_t n = row->n ? row->n : strlen(row->text);
    AUTO(buf_clear) struct buf file = { 0 };

    put_header(&file, row->text, n);
    check(file.data, file.len, (int64_t)file.len + row->data, row->code, row->word);
}

static void test_raw(void **state)
{
    const struct raw *row = *state;

    check(row->bytes, row->n, row->file_bytes, row->code, row->word);
}

static struct layout *parse_text(const char *text, int64_t data)
{
    AUTO(buf_clear) struct buf file = { 0 };
    struct layout *l = NULL;
    struct sewa_error err = { 0 };

    put_header(&file, text, strlen(text));
    assert_ok(safetensors_parse(file.data, file.len, "f", (int64_t)file.len + data, &l, &err), err);
    assert_int_equal(l->file_bytes, (int64_t)file.len + data);
    return l;
}

static void test_what_a_layout_says(void **state)
{
    (void)state;
    AUTOPTR(layout_free)
    struct layout *l = parse_text(
        "{\"b\":" TENSOR("BF16", "[3,2]", "[4,16]") ",\"\\u00e4\":" TENSOR(
            "I64", "[]", "[16,24]") ","
                                    "\"a\":" TENSOR("F32", "[1]", "[0,4]") ",\"e\":" TENSOR(
                                        "F64", "[0,7]", "[4,4]") "}",
        24);
    int64_t start = l->file_bytes - 24;
    static const char *const by_place[] = { "a", "e", "b", "\xc3\xa4" };
    static const char *const by_name[] = { "a", "b", "e", "\xc3\xa4" };

    assert_string_equal(l->format, "safetensors");
    assert_int_equal(l->count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(l->tensors[i].name, by_place[i]);
        assert_string_equal(l->tensors[l->by_name[i]].name, by_name[i]);
    }
    const struct tensor *b = layout_find(l, "b");
    assert_ptr_equal(b, &l->tensors[2]);
    assert_int_equal(b->dtype, DTYPE_BF16);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 3);
    assert_int_equal(b->shape[1], 2);
    assert_int_equal(b->elements, 6);
    assert_int_equal(b->offset, start + 4);
    assert_int_equal(b->bytes, 12);
    assert_int_equal(b->file, 0);
    const struct tensor *scalar = layout_find(l, "\xc3\xa4");
    assert_int_equal(scalar->rank, 0);
    assert_null(scalar->shape);
    assert_int_equal(scalar->elements, 1);
    assert_int_equal(layout_find(l, "e")->elements, 0);
    assert_null(layout_find(l, "f"));
    assert_int_equal(layout_data_bytes(l), 24);
    assert_int_equal(layout_float_elements(l), 7);
}

/* Characters of every length, plain and escaped, fall on every edge of the narrowest window. */
static void test_strings_at_every_edge(void **state)
{
    (void)state;
    static const char given[] =
        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\\n\\u007f\\u0080\\u07ff\\u0800"
        "\\uffff\\ud800\\udc00\\udbff\\udfff";
    static const char wanted[] =
        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"
        "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf";
    for (int pad = 0; pad < WINDOW_BYTES_MIN; pad++) {
        AUTO(buf_clear) struct buf text = { 0 }, file = { 0 };
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct sewa_error err = { 0 };
        buf_printf(&text, "{%*s\"%s\" : " TENSOR("F32", "[2]", "[0,8]") "}", pad, "", given);
        put_header(&file, text.data, text.len);
        struct window_source source = { .name = "f", .bytes = file.data, .n = file.len };
        assert_ok(safetensors_read_from(&source, WINDOW_BYTES_MIN, (int64_t)file.len + 8, &l, &err),
                  err);
        assert_string_equal(l->tensors[0].name, wanted);
    }
}

static void test_metadata_keep_their_order(void **state)
{
    (void)state;
    static const struct layout_metadata wanted[] = {
        { "step", "1000" },
        { "", "" },
        { "a\nb", "\xf0\x9f\x98\x80\"" },
        { "format", "pt" },
    };
    AUTOPTR(layout_free)
    struct layout *l = parse_text("{\"__metadata__\":{\"step\":\"1000\",\"\":\"\",\"a\\nb\" :"
                                  "\"\\ud83d\\ude00\\\"\", \"format\":\"pt\"}}",
                                  0);

    assert_int_equal(l->count, 0);
    assert_int_equal(l->metadata_count, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_string_equal(l->metadata[i].key, wanted[i].key);
        assert_string_equal(l->metadata[i].value, wanted[i].value);
    }
}

/* The digest is that of the first 8 + N bytes, whatever the window and whatever lies behind. */
static void test_digest_of_the_header(void **state)
{
    (void)state;
    static const char text[] = ONE "}       ";
    AUTO(buf_clear) struct buf file = { 0 };
    uint8_t wanted[SHA256_SIZE];
    struct sewa_error err = { 0 };

    put_header(&file, text, sizeof text - 1);
    sha256_of(file.data, file.len, wanted);
    buf_text(&file, "datadata");
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct window_source source = { .name = "f", .bytes = file.data, .n = file.len };
        assert_ok(safetensors_read_from(&source, windows[i], (int64_t)file.len, &l, &err), err);
        assert_memory_equal(l->header_digest, wanted, SHA256_SIZE);
    }
}

static void test_descriptors(void **state)
{
    (void)state;
    AUTO(buf_clear) struct buf file = { 0 };
    AUTOCLOSE int fd = memfd_create("header", 0);
    AUTOCLOSE int directory = open("/", O_RDONLY | O_DIRECTORY);
    AUTOPTR(layout_free) struct layout *l = NULL;
    struct sewa_error err = { 0 };
    int ends[2];

    put_header(&file, ONE "}", strlen(ONE "}"));
    buf_text(&file, "datadata");
    assert_int_equal(write(fd, file.data, file.len), file.len);
    off_t position = lseek(fd, 5, SEEK_SET);
    assert_ok(safetensors_read(fd, "f", (int64_t)file.len, &l, &err), err);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), position);
    assert_failed(safetensors_read(-1, "f", 100, &l, &err), err, SEWA_E_IO,
                  "cannot read 'f' at offset 0: Bad file descriptor");
    assert_failed(safetensors_read(directory, "f", 100, &l, &err), err, SEWA_E_IO, "directory");
    assert_int_equal(pipe(ends), 0);
    assert_failed(safetensors_read(ends[0], "f", 100, &l, &err), err, SEWA_E_IO, "Illegal seek");
    close(ends[0]);
    close(ends[1]);
}

/* A file that is cut to any length is incomplete, never corrupt and never complete. */
static void test_every_length(void **state)
{
    (void)state;
    static const char text[] =
        "{\"__metadata__\":{\"k\":\"\\ud83d\\ude00\xe2\x82\xac\"},\"a\":" TENSOR(
            "F32", "[2]",
            "[0,8]") ",\"b\":{\"z\":[1.5e3,{\"q\":true}],\"dtype\":\"U8\",\"shape\":[1],"
                     "\"data_offsets\":[8,9]}}  ";
    AUTO(buf_clear) struct buf file = { 0 };

    put_header(&file, text, sizeof text - 1);
    buf_text(&file, "datadatad");
    for (size_t n = 0; n <= file.len; n++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        struct sewa_error err = { 0 };
        int rc = safetensors_parse(file.data, n, "f", (int64_t)n, &l, &err);
        assert_int_equal(rc, n == file.len ? 0 : SEWA_E_INCOMPLETE);
    }
}

/* The same of a file that has its size and is filled from the front. */
static void test_every_length_preallocated(void **state)
{
    (void)state;
    static const char text[] = "{\"\xc3\xa4\\u00e4\":" TENSOR("F32", "[2]", "[0,8]") "}";
    AUTO(buf_clear) struct buf file = { 0 };

    put_header(&file, text, sizeof text - 1);
    for (size_t n = 8; n < file.len; n++) {
        AUTOPTR(layout_free) struct layout *l = NULL;
        AUTO(buf_clear) struct buf part = { 0 };
        struct sewa_error err = { 0 };
        buf_append(&part, file.data, file.len);
        memset(part.data + n, 0, part.len - n);
        int rc = safetensors_parse(part.data, part.len, "f", (int64_t)part.len + 8, &l, &err);
        assert_failed(rc, err, SEWA_E_INCOMPLETE, "zero from offset");
    }
}

int main(void)
{
    static struct CMUnitTest tests[COUNT_OF(good) + COUNT_OF(bad) + COUNT_OF(raw) + 16];
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(test_what_a_layout_says),
        cmocka_unit_test(test_strings_at_every_edge),
        cmocka_unit_test(test_metadata_keep_their_order),
        cmocka_unit_test(test_digest_of_the_header),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_every_length_preallocated),
    };
    size_t n = 0;

    for (size_t i = 0; i < COUNT_OF(good); i++)
        tests[n++] = (struct CMUnitTest){ good[i].name, test_row, NULL, NULL, (void *)&good[i] };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        tests[n++] = (struct CMUnitTest){ bad[i].name, test_row, NULL, NULL, (void *)&bad[i] };
    for (size_t i = 0; i < COUNT_OF(raw); i++)
        tests[n++] = (struct CMUnitTest){ raw[i].name, test_raw, NULL, NULL, (void *)&raw[i] };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        tests[n++] = others[i];
    return _cmocka_run_group_tests("safetensors", tests, n, NULL, NULL);
}
