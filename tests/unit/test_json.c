/* test_json.c - JSON text: what is accepted, where it is wrong, what is found in it and read */
#include <config.h>

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kedge/value.h>

static struct kedge_error err;
static struct kedge_bytes raw;
static char buf[64];

/* A copy in memory of exactly that size, so that the sanitizers see who reads past it. */
static char *exactly(const void *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    return copy;
}

static int check(const void *text, size_t len)
{
    char *copy = exactly(text, len);
    int rc;

    memset(&err, 0, sizeof err);
    rc = kedge_json_check(copy, len, &err);
    free(copy);
    return rc;
}

#define TEXT(s) (s), sizeof(s) - 1

/* ------------------------------------------------ accepted and not, in the manner of JSONTestSuite
 */

static const struct {
    const char *name;
    const char *text;
    size_t len;
} good[] = {
    { "y_array_empty", TEXT("[]") },
    { "y_array_empty_string", TEXT("[\"\"]") },
    { "y_array_spaces", TEXT("[ \t\r\n]") },
    { "y_array_heterogeneous", TEXT("[null, 1, \"1\", {}]") },
    { "y_array_nested", TEXT("[[],[[]],[[[]]]]") },
    { "y_array_trailing_space", TEXT("[2] ") },
    { "y_array_leading_space", TEXT(" [1]") },
    { "y_array_several_null", TEXT("[1,null,null,2]") },
    { "y_array_newline", TEXT("[1\n]") },
    { "y_number", TEXT("[123e65]") },
    { "y_number_0e+1", TEXT("[0e+1]") },
    { "y_number_0e1", TEXT("[0e1]") },
    { "y_number_after_space", TEXT("[ 4]") },
    { "y_number_tiny", TEXT("[-0.000000000000000000000000000000000000000000000001]") },
    { "y_number_int_with_exp", TEXT("[20e1]") },
    { "y_number_minus_zero", TEXT("[-0]") },
    { "y_number_negative_int", TEXT("[-123]") },
    { "y_number_capital_e", TEXT("[1E22]") },
    { "y_number_capital_e_minus", TEXT("[1E-2]") },
    { "y_number_capital_e_plus", TEXT("[1E+2]") },
    { "y_number_fraction_exp", TEXT("[123.456e78]") },
    { "y_number_zero_fraction", TEXT("[0.0]") },
    { "y_number_exp_leading_zeros", TEXT("[1e007]") },
    { "y_number_huge_exp", TEXT("[1e999999999999]") },
    { "y_number_very_long", TEXT("123456789012345678901234567890123456789012345678901234567890") },
    { "y_number_alone", TEXT("42") },
    { "y_number_zero_alone", TEXT("0") },
    { "y_number_negative_alone", TEXT("-0.1") },
    { "y_object", TEXT("{\"a\":\"b\"}") },
    { "y_object_empty", TEXT("{}") },
    { "y_object_empty_key", TEXT("{\"\":0}") },
    { "y_object_duplicate_key", TEXT("{\"a\":\"b\",\"a\":\"c\"}") },
    { "y_object_nested", TEXT("{\"a\":{\"b\":{\"c\":[{}]}}}") },
    { "y_object_escaped_nul_in_key", TEXT("{\"foo\\u0000bar\": 42}") },
    { "y_object_spaces", TEXT(" { \"a\" : 1 , \"b\" : 2 } ") },
    { "y_object_newlines", TEXT("{\n\"a\":\n[]\r\n}") },
    { "y_object_long_keys", TEXT("{\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\":\"y\"}") },
    { "y_string_simple_escapes", TEXT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]") },
    { "y_string_unicode_escape", TEXT("[\"\\u0060\\u012a\\u12AB\"]") },
    { "y_string_pair", TEXT("[\"\\uD801\\udc37\"]") },
    { "y_string_two_pairs", TEXT("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]") },
    { "y_string_first_pair", TEXT("\"\\ud800\\udc00\"") },
    { "y_string_last_pair", TEXT("\"\\uDBFF\\uDFFF\"") },
    { "y_string_escaped_nul", TEXT("[\"\\u0000\"]") },
    { "y_string_escaped_control", TEXT("[\"\\u0012\"]") },
    { "y_string_escaped_noncharacter", TEXT("[\"\\uFFFF\"]") },
    { "y_string_backslash_then_u", TEXT("[\"\\\\u0000\"]") },
    { "y_string_backslash_twice_n", TEXT("\"\\\\n\"") },
    { "y_string_del", TEXT("[\"\x7f\"]") },
    { "y_string_utf8_two", TEXT("[\"\xc3\xa9\"]") },
    { "y_string_utf8_two_first", TEXT("\"\xc2\x80\"") },
    { "y_string_utf8_two_last", TEXT("\"\xdf\xbf\"") },
    { "y_string_utf8_three", TEXT("\"\xe2\x82\xac\"") },
    { "y_string_utf8_three_first", TEXT("\"\xe0\xa0\x80\"") },
    { "y_string_utf8_before_surrogates", TEXT("\"\xed\x9f\xbf\"") },
    { "y_string_utf8_after_surrogates", TEXT("\"\xee\x80\x80\"") },
    { "y_string_utf8_noncharacter", TEXT("\"\xef\xbf\xbf\"") },
    { "y_string_utf8_four_first", TEXT("\"\xf0\x90\x80\x80\"") },
    { "y_string_utf8_four_last", TEXT("\"\xf4\x8f\xbf\xbf\"") },
    { "y_string_bom_inside", TEXT("\"\xef\xbb\xbf\"") },
    { "y_string_line_separator", TEXT("\"\xe2\x80\xa8\"") },
    { "y_string_comment", TEXT("[\"a/*b*/c/*d//e\"]") },
    { "y_string_alone_empty", TEXT("\"\"") },
    { "y_string_brackets", TEXT("\"}]{[:,\"") },
    { "y_string_eight", TEXT("\"12345678\"") },
    { "y_string_nine", TEXT("\"123456789\"") },
    { "y_string_slash", TEXT("\"/\"") },
    { "y_true_alone", TEXT("true") },
    { "y_false_alone", TEXT("false") },
    { "y_null_alone", TEXT("null") },
    { "y_word_in_space", TEXT("\n\t null \r\n") },
};

static const struct {
    const char *name;
    const char *text;
    size_t len;
    size_t at; /* where it is wrong */
} bad[] = {
    { "n_empty", TEXT(""), 0 },
    { "n_space_only", TEXT(" "), 1 },
    { "n_array_1_true_without_comma", TEXT("[1 true]"), 3 },
    { "n_array_colon", TEXT("[\"\": 1]"), 3 },
    { "n_array_comma_after_close", TEXT("[\"\"],"), 4 },
    { "n_array_comma_and_number", TEXT("[,1]"), 1 },
    { "n_array_double_comma", TEXT("[1,,2]"), 3 },
    { "n_array_extra_close", TEXT("[\"x\"]]"), 5 },
    { "n_array_extra_comma", TEXT("[\"\",]"), 4 },
    { "n_array_incomplete", TEXT("[\"x\""), 4 },
    { "n_array_just_comma", TEXT("[,]"), 1 },
    { "n_array_just_minus", TEXT("[-]"), 2 },
    { "n_array_unclosed", TEXT("[1"), 2 },
    { "n_array_unclosed_comma", TEXT("[1,"), 3 },
    { "n_array_open", TEXT("["), 1 },
    { "n_array_closed_as_object", TEXT("[1}"), 2 },
    { "n_array_vertical_tab", TEXT("[\v]"), 1 },
    { "n_array_form_feed", TEXT("[\f]"), 1 },
    { "n_array_star", TEXT("[*]"), 1 },
    { "n_close_alone", TEXT("]"), 0 },
    { "n_array_open_object", TEXT("[{"), 2 },
    { "n_array_nbsp", TEXT("[\xc2\xa0]"), 1 },
    { "n_word_tru", TEXT("[tru]"), 4 },
    { "n_word_nul_at_end", TEXT("nul"), 3 },
    { "n_word_fals", TEXT("[fals]"), 5 },
    { "n_word_capital", TEXT("[True]"), 1 },
    { "n_word_longer", TEXT("truer"), 4 },
    { "n_word_NULL", TEXT("NULL"), 0 },
    { "n_word_undefined", TEXT("[undefined]"), 1 },
    { "n_number_two_minus", TEXT("[--2.]"), 2 },
    { "n_number_plus", TEXT("[+1]"), 1 },
    { "n_number_leading_zero", TEXT("[012]"), 1 },
    { "n_number_minus_leading_zero", TEXT("[-012]"), 2 },
    { "n_number_double_zero", TEXT("[00]"), 1 },
    { "n_number_no_fraction", TEXT("[1.]"), 3 },
    { "n_number_no_fraction_exp", TEXT("[2.e3]"), 3 },
    { "n_number_no_int", TEXT("[.5]"), 1 },
    { "n_number_minus_no_int", TEXT("[-.5]"), 2 },
    { "n_number_no_exp", TEXT("[1e]"), 3 },
    { "n_number_no_exp_plus", TEXT("[1e+]"), 4 },
    { "n_number_exp_fraction", TEXT("[1e1.5]"), 4 },
    { "n_number_double_e", TEXT("[1ee2]"), 3 },
    { "n_number_double_sign", TEXT("[1e+-2]"), 4 },
    { "n_number_nan", TEXT("[NaN]"), 1 },
    { "n_number_minus_nan", TEXT("[-NaN]"), 2 },
    { "n_number_infinity", TEXT("[Infinity]"), 1 },
    { "n_number_minus_infinity", TEXT("[-Infinity]"), 2 },
    { "n_number_hex", TEXT("[0x42]"), 2 },
    { "n_number_expression", TEXT("[1+2]"), 2 },
    { "n_number_two_dots", TEXT("[1.2.3]"), 4 },
    { "n_number_minus_space", TEXT("[- 1]"), 2 },
    { "n_number_then_letter", TEXT("[1a]"), 2 },
    { "n_number_full_width", TEXT("[\xef\xbc\x91]"), 1 },
    { "n_number_minus_at_end", TEXT("-"), 1 },
    { "n_number_dot_at_end", TEXT("1."), 2 },
    { "n_number_e_at_end", TEXT("1e"), 2 },
    { "n_number_thousands", TEXT("1_000"), 1 },
    { "n_number_double_minus_zero", TEXT("-00"), 1 },
    { "n_object_bracket_key", TEXT("{[: \"x\"}"), 1 },
    { "n_object_no_colon", TEXT("{\"a\" b}"), 5 },
    { "n_object_comma_for_colon", TEXT("{\"a\",1}"), 4 },
    { "n_object_double_colon", TEXT("{\"x\"::\"b\"}"), 5 },
    { "n_object_no_value", TEXT("{\"a\":"), 5 },
    { "n_object_missing_value", TEXT("{\"a\":}"), 5 },
    { "n_object_key_only", TEXT("{\"a\"}"), 4 },
    { "n_object_key_not_string", TEXT("{1:1}"), 1 },
    { "n_object_key_null", TEXT("{null:null}"), 1 },
    { "n_object_single_quotes", TEXT("{'a':0}"), 1 },
    { "n_object_trailing_comma", TEXT("{\"id\":0,}"), 8 },
    { "n_object_only_comma", TEXT("{,}"), 1 },
    { "n_object_two_commas", TEXT("{\"a\":1,,\"b\":2}"), 7 },
    { "n_object_unquoted_key", TEXT("{a: 1}"), 1 },
    { "n_object_unclosed", TEXT("{\"a\":1"), 6 },
    { "n_object_closed_as_array", TEXT("{\"a\":1]"), 6 },
    { "n_object_trailing_comment", TEXT("{\"a\":1}/**/"), 7 },
    { "n_object_then_hash", TEXT("{}#"), 2 },
    { "n_object_open", TEXT("{"), 1 },
    { "n_object_no_comma", TEXT("{\"a\":1 \"b\":2}"), 7 },
    { "n_object_bad_key_escape", TEXT("{\"\\x\":1}"), 2 },
    { "n_string_half_pair", TEXT("[\"\\uD800\"]"), 2 },
    { "n_string_half_pair_then_u", TEXT("[\"\\uD800\\u\"]"), 10 },
    { "n_string_half_pair_then_u1", TEXT("[\"\\uD800\\u1\"]"), 11 },
    { "n_string_high_then_high", TEXT("[\"\\uD800\\uD800\"]"), 2 },
    { "n_string_high_then_letter", TEXT("[\"\\uD800\\u0061\"]"), 2 },
    { "n_string_high_then_newline", TEXT("[\"a\\uDBFF\\n\"]"), 3 },
    { "n_string_low_alone", TEXT("[\"\\uDC00\"]"), 2 },
    { "n_string_low_then_high", TEXT("\"\\uDE00\\uD800\""), 1 },
    { "n_string_high_at_end", TEXT("\"\\uD800"), 1 },
    { "n_string_escaped_x", TEXT("[\"\\x00\"]"), 2 },
    { "n_string_escaped_newline", TEXT("\"\\\n\""), 1 },
    { "n_string_escaped_nul_byte", TEXT("\"\\\0\""), 1 },
    { "n_string_escaped_utf8", TEXT("\"\\\xc3\xa9\""), 1 },
    { "n_string_capital_u", TEXT("\"\\U0041\""), 1 },
    { "n_string_escaped_quote_mark", TEXT("\"\\'\""), 1 },
    { "n_string_escaped_zero", TEXT("\"\\0\""), 1 },
    { "n_string_hex_short", TEXT("\"\\u00A\""), 6 },
    { "n_string_hex_bad", TEXT("\"\\u00g0\""), 5 },
    { "n_string_hex_sign", TEXT("\"\\u+123\""), 3 },
    { "n_string_backslash_at_end", TEXT("\"\\"), 2 },
    { "n_string_hex_at_end", TEXT("\"\\u00"), 5 },
    { "n_string_unclosed", TEXT("\"abc"), 4 },
    { "n_string_quote_alone", TEXT("\""), 1 },
    { "n_string_closing_escaped", TEXT("[\"\\\"]"), 5 },
    { "n_string_newline", TEXT("[\"a\nb\"]"), 3 },
    { "n_string_tab", TEXT("\"\t\""), 1 },
    { "n_string_nul", TEXT("\"a\0b\""), 2 },
    { "n_string_unit_separator", TEXT("\"1234567890\x1f\""), 11 },
    { "n_string_single_quotes", TEXT("'a'"), 0 },
    { "n_string_no_quotes", TEXT("abc"), 0 },
    { "n_string_more", TEXT("\"\"x"), 2 },
    { "n_string_latin1", TEXT("\"\xe9\""), 1 },
    { "n_string_continuation_alone", TEXT("\"a\x80\""), 2 },
    { "n_string_overlong_slash", TEXT("\"\xc0\xaf\""), 1 },
    { "n_string_overlong_c1", TEXT("\"\xc1\xbf\""), 1 },
    { "n_string_overlong_three", TEXT("\"\xe0\x9f\xbf\""), 1 },
    { "n_string_overlong_four", TEXT("\"\xf0\x8f\xbf\xbf\""), 1 },
    { "n_string_utf8_surrogate", TEXT("\"\xed\xa0\x80\""), 1 },
    { "n_string_utf8_low_surrogate", TEXT("\"\xed\xbf\xbf\""), 1 },
    { "n_string_beyond_unicode", TEXT("\"\xf4\x90\x80\x80\""), 1 },
    { "n_string_f5", TEXT("\"\xf5\x80\x80\x80\""), 1 },
    { "n_string_five_bytes", TEXT("\"\xf8\x88\x80\x80\x80\""), 1 },
    { "n_string_ff", TEXT("\"ok\xff\""), 3 },
    { "n_string_two_of_three", TEXT("\"\xe2\x82\""), 1 },
    { "n_string_three_of_four", TEXT("\"\xf0\x9f\x98\""), 1 },
    { "n_string_one_of_two", TEXT("\"12345678\xc3\""), 9 },
    { "n_string_lead_at_end", TEXT("\"\xe2\x82"), 1 },
    { "n_string_bad_after_good", TEXT("\"\xc3\xa9\xc3(\""), 3 },
    { "n_string_third_bad", TEXT("\"\xe2\x82(\""), 1 },
    { "n_string_fourth_bad", TEXT("\"\xf0\x9f\x98(\""), 1 },
    { "n_bom", TEXT("\xef\xbb\xbf{}"), 0 },
    { "n_bom_alone", TEXT("\xef\xbb\xbf"), 0 },
    { "n_half_bom", TEXT("\xef\xbb{}"), 0 },
    { "n_utf16", TEXT("[\0]\0"), 1 },
    { "n_two_values", TEXT("1 2"), 2 },
    { "n_two_arrays", TEXT("[][]"), 2 },
    { "n_nul_after", TEXT("[]\0"), 2 },
    { "n_nul_alone", TEXT("\0"), 0 },
    { "n_comment_before", TEXT("/**/1"), 0 },
    { "n_comma_alone", TEXT(","), 0 },
    { "n_colon_alone", TEXT(":"), 0 },
    { "n_angle", TEXT("<null>"), 0 },
    { "n_word_joiner", TEXT("\xe2\x81\xa0"), 0 },
    { "n_trailing_semicolon", TEXT("1;"), 1 },
};

START_TEST(accepts)
{
    ck_assert_msg(check(good[_i].text, good[_i].len) == KEDGE_OK, "%s: %s", good[_i].name, err.msg);
}
END_TEST

START_TEST(refuses_and_says_where)
{
    char where[32];

    ck_assert_msg(check(bad[_i].text, bad[_i].len) == KEDGE_ERR_INVALID, "%s", bad[_i].name);
    (void)snprintf(where, sizeof where, "at byte %zu: ", bad[_i].at);
    ck_assert_msg(strstr(err.msg, where) != NULL, "%s: not byte %zu but %s", bad[_i].name,
                  bad[_i].at, err.msg);
    ck_assert_msg((strstr(err.msg, "ends at") != NULL) == (bad[_i].at == bad[_i].len), "%s: %s",
                  bad[_i].name, err.msg);
}
END_TEST

static const struct {
    const char *text;
    const char *msg;
} messages[] = {
    { "", "not JSON: the text ends at byte 0: a value is expected" },
    { "[1,]", "not JSON: at byte 3: a value is expected" },
    { "[1 2]", "not JSON: at byte 3: a ',' or ']' is expected" },
    { "{\"a\":1;", "not JSON: at byte 6: a ',' or '}' is expected" },
    { "{\"a\" 1}", "not JSON: at byte 5: a ':' is expected" },
    { "{a", "not JSON: at byte 1: a name in quotes is expected" },
    { "[\"ab", "not JSON: the text ends at byte 4: the string is not closed" },
    { "[\"a\nb\"]", "not JSON: at byte 3: a control character must be written as an escape" },
    { "[\"\\q\"]", "not JSON: at byte 2: there is no such escape" },
    { "[\"\\u12x4\"]", "not JSON: at byte 6: a hexadecimal digit is expected" },
    { "[\"\\ud800\"]", "not JSON: at byte 2: half of a surrogate pair" },
    { "[\"\xff\"]", "not JSON: at byte 2: not well-formed UTF-8" },
    { "nil", "not JSON: at byte 1: neither true nor false nor null" },
    { "-", "not JSON: the text ends at byte 1: a digit is expected" },
    { "01", "not JSON: at byte 0: a number may not begin with a zero" },
    { "1 x", "not JSON: at byte 2: there is more after the value" },
    { "\xef\xbb\xbf"
      "1",
      "not JSON: at byte 0: a byte order mark" },
};

START_TEST(says_what_is_wrong)
{
    ck_assert_int_eq(check(messages[_i].text, strlen(messages[_i].text)), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, messages[_i].msg);
    ck_assert_int_eq(err.code, KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(needs_neither_text_nor_message)
{
    ck_assert_int_eq(kedge_json_check(NULL, 0, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "not JSON: the text ends at byte 0: a value is expected");
    ck_assert_int_eq(kedge_json_check(NULL, 1, &err), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_json_check("]", 1, NULL), KEDGE_ERR_INVALID);
    ck_assert_int_eq(kedge_json_find(NULL, 0, "", &raw, &err), KEDGE_ERR_INVALID);
}
END_TEST

/* DEPTH times what opens, a value, DEPTH times what closes. */
static char *nested(const char *opens, const char *closes, size_t depth, size_t *len)
{
    size_t n = strlen(opens);
    char *text = malloc(depth * (n + 1) + 1);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < depth * n; i++)
        text[i] = opens[i % n];
    text[depth * n] = '1';
    memset(text + depth * n + 1, closes[0], depth);
    *len = depth * (n + 1) + 1;
    return text;
}

START_TEST(nests_that_deep_and_no_deeper)
{
    static const char *const opens[] = { "[", "{\"a\":" };
    static const char *const closes[] = { "]", "}" };

    for (int i = 0; i < 2; i++) {
        size_t len;
        char *text = nested(opens[i], closes[i], KEDGE_JSON_DEPTH, &len);

        ck_assert_int_eq(check(text, len), KEDGE_OK);
        ck_assert_int_eq(kedge_json_find(text, len, "", &raw, &err), KEDGE_OK);
        ck_assert_uint_eq(raw.len, len);
        free(text);
        text = nested(opens[i], closes[i], KEDGE_JSON_DEPTH + 1, &len);
        ck_assert_int_eq(check(text, len), KEDGE_ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(err.msg, "arrays and objects are nested too deep"));
        ck_assert_ptr_nonnull(strstr(err.msg, i == 0 ? "byte 128:" : "byte 640:"));
        free(text);
        text = nested(opens[i], closes[i], 1000000, &len);
        ck_assert_int_eq(check(text, len), KEDGE_ERR_INVALID);
        free(text);
    }
    /* What is closed again does not count. */
    ck_assert_int_eq(check(TEXT("[[],[],{},[[]],{\"a\":[]}]")), KEDGE_OK);
}
END_TEST

/* -------------------------------------------------- against a second opinion */

/* The grammar once more, as short as it can be written; NULL: no. */
static const char *slow_value(const char *p, const char *end, int depth);

static const char *slow_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

static int slow_hex(const char *p, const char *end)
{
    char digits[5] = "";

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    memcpy(digits, p + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return -1;
    return (int)strtol(digits, NULL, 16);
}

/* One character of a string, not its end. */
static const char *slow_char(const char *p, const char *end)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)*p;
    int n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    uint32_t code = n == 1 ? c : c & (0x7fu >> n);
    int unit = slow_hex(p, end);

    if (unit >= 0xd800 && unit < 0xdc00) {
        unit = slow_hex(p + 6, end);
        return unit >= 0xdc00 && unit < 0xe000 ? p + 12 : NULL;
    }
    if (unit >= 0)
        return unit >= 0xdc00 && unit < 0xe000 ? NULL : p + 6;
    if (c == '\\')
        return end - p >= 2 && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? p + 2 : NULL;
    if (n == 0 || end - p < n || c < ' ')
        return NULL;
    for (int i = 1; i < n; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return NULL;
        code = code << 6 | ((unsigned char)p[i] & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return NULL;
    return p + n;
}

static const char *slow_string(const char *p, const char *end)
{
    if (p == end || *p != '"')
        return NULL;
    for (p++; p != NULL && p < end && *p != '"';)
        p = slow_char(p, end);
    return p != NULL && p < end ? p + 1 : NULL;
}

static const char *slow_digits(const char *p, const char *end)
{
    const char *from = p;

    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > from ? p : NULL;
}

static const char *slow_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else
        p = slow_digits(p, end);
    if (p != NULL && p < end && *p == '.')
        p = slow_digits(p + 1, end);
    if (p != NULL && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = slow_digits(p, end);
    }
    return p;
}

static const char *slow_members(const char *p, const char *end, int depth)
{
    char closer = *p == '{' ? '}' : ']';

    p = slow_space(p + 1, end);
    if (p < end && *p == closer)
        return p + 1;
    for (;;) {
        if (closer == '}') {
            p = slow_string(slow_space(p, end), end);
            if (p == NULL)
                return NULL;
            p = slow_space(p, end);
            if (p == end || *p++ != ':')
                return NULL;
        }
        p = slow_value(p, end, depth + 1);
        if (p == NULL || p == end || (*p != ',' && *p != closer))
            return NULL;
        if (*p++ == closer)
            return p;
    }
}

static const char *slow_value(const char *p, const char *end, int depth)
{
    static const char *const words[] = { "true", "false", "null" };

    p = slow_space(p, end);
    if (p == end)
        return NULL;
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0)
            return slow_space(p + n, end);
    }
    if (*p == '[' || *p == '{')
        p = depth < KEDGE_JSON_DEPTH ? slow_members(p, end, depth) : NULL;
    else
        p = *p == '"' ? slow_string(p, end) : slow_number(p, end);
    return p != NULL ? slow_space(p, end) : NULL;
}

static void compare(const char *text, size_t len)
{
    char *copy = exactly(text, len);
    bool is_json = slow_value(copy, copy + len, 0) == copy + len;
    size_t n = 0;

    ck_assert_msg((kedge_json_check(copy, len, &err) == KEDGE_OK) == is_json, "'%.*s': %s",
                  (int)len, text, is_json ? err.msg : "accepted");
    /* The readers must be safe with both kinds; what they say is tested elsewhere. */
    (void)kedge_json_find(copy, len, "/a/0", &raw, NULL);
    (void)kedge_json_string(copy, len, "/0", buf, sizeof buf, &n, NULL);
    ck_assert_int_eq(kedge_json_find(copy, len, "", &raw, NULL),
                     is_json ? KEDGE_OK : KEDGE_ERR_INVALID);
    free(copy);
}

static const char document[] =
    " {\"items\": [ {\"price\": 12.50e-1, \"name\": \"caf\xc3\xa9 \\u00e9 \\ud83d\\ude00\"}, "
    "true],\n\t\"\xf0\x9f\x98\x80\": null, \"a\\\\b\\\"\": [[], {}, [-0, 1E+9, false]], "
    "\"\": \"\xe2\x82\xac\"}";

START_TEST(judges_the_tables)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        compare(good[i].text, good[i].len);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        compare(bad[i].text, bad[i].len);
}
END_TEST

START_TEST(refuses_every_truncation)
{
    for (size_t n = 0; n < sizeof document - 1; n++) {
        ck_assert_msg(check(document, n) == KEDGE_ERR_INVALID, "%zu bytes", n);
        compare(document, n);
    }
    ck_assert_int_eq(check(document, sizeof document - 1), KEDGE_OK);
}
END_TEST

START_TEST(judges_every_byte_in_every_place)
{
    char text[sizeof document];

    for (size_t at = 0; at < sizeof document - 1; at++) {
        memcpy(text, document, sizeof document);
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            compare(text, sizeof document - 1);
        }
    }
}
END_TEST

static uint64_t state;

static uint32_t some(uint32_t n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % n;
}

START_TEST(judges_random_bytes)
{
    char text[24];

    state = 1;
    for (int round = 0; round < 100000; round++) {
        size_t len = some(sizeof text);

        for (size_t i = 0; i < len; i++)
            text[i] = (char)some(256);
        compare(text, len);
    }
}
END_TEST

START_TEST(judges_random_words)
{
    static const char *const words[] = {
        "[",    "]",  "{",   "}",       ",",     ":",       "\"",      "\"a\"",    "\"a\":",
        "1",    "-",  "0",   ".",       "e",     "+",       "true",    "null",     "fal",
        " ",    "\\", "\\n", "\\u00e9", "\\ud8", "\\ud83d", "\\udc00", "\xc3\xa9", "\xe2\x82",
        "\x80", "[]", "{}",  "\n",      "E-1",   "false",   ",\"b\":", "],",       "},",
    };
    char text[128];

    state = 2;
    for (int round = 0; round < 200000; round++) {
        size_t len = 0;

        for (uint32_t n = some(12); n > 0; n--) {
            const char *word = words[some(sizeof words / sizeof *words)];

            len += (size_t)snprintf(text + len, sizeof text - len, "%s", word);
        }
        compare(text, len);
    }
}
END_TEST

/* ---------------------------------------------------------------- pointers */

static const char rfc6901[] =
    "{ \"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4,"
    " \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8 }";
static const char sample[] =
    " { \"items\" : [ {\"price\": 1.50, \"tags\":[ ]} ,\"x]}\\\"\", [1,[2,3]] , null],\n"
    "\"caf\\u00e9\":\"e\",\"\\ud83d\\ude00\":\"s\",\"twice\":1,\"twice\":2,\"~1\":\"t\","
    "\"a\\/b\":\"s\","
    "\"n\\u0000l\":1,\"n\":2,\"9\":\"nine\",\"nested\":{\"\":{\"\":true}},\"last\":-12e3 } ";

static const struct {
    const char *text;
    const char *path;
    const char *raw; /* NULL: NOT_FOUND */
} paths[] = {
    { rfc6901, "/foo", "[\"bar\", \"baz\"]" },
    { rfc6901, "/foo/0", "\"bar\"" },
    { rfc6901, "/", "0" },
    { rfc6901, "/a~1b", "1" },
    { rfc6901, "/c%d", "2" },
    { rfc6901, "/e^f", "3" },
    { rfc6901, "/g|h", "4" },
    { rfc6901, "/i\\j", "5" },
    { rfc6901, "/k\"l", "6" },
    { rfc6901, "/ ", "7" },
    { rfc6901, "/m~0n", "8" },
    { rfc6901, "/a", NULL },
    { rfc6901, "/foo/2", NULL },
    { rfc6901, "/foo/-", NULL },
    { rfc6901, "/foo/00", NULL },
    { rfc6901, "/foo/01", NULL },
    { rfc6901, "/foo/", NULL },
    { rfc6901, "/foo/+1", NULL },
    { rfc6901, "/foo/1x", NULL },
    { rfc6901, "/foo/99999999999999999999999999", NULL },
    { rfc6901, "/foo/18446744073709551616", NULL },
    { rfc6901, "/foo/0/0", NULL },
    { rfc6901, "/foo/0/", NULL },
    { rfc6901, "/fo", NULL },
    { rfc6901, "/fooo", NULL },
    { rfc6901, "//", NULL },
    { sample, "/items/0", "{\"price\": 1.50, \"tags\":[ ]}" },
    { sample, "/items/0/price", "1.50" },
    { sample, "/items/0/tags", "[ ]" },
    { sample, "/items/0/tags/0", NULL },
    { sample, "/items/1", "\"x]}\\\"\"" },
    { sample, "/items/2/1/0", "2" },
    { sample, "/items/2/1/1", "3" },
    { sample, "/items/3", "null" },
    { sample, "/items/4", NULL },
    { sample, "/caf\xc3\xa9", "\"e\"" },
    { sample, "/\xf0\x9f\x98\x80", "\"s\"" },
    { sample, "/\xf0\x9f\x98", NULL },
    { sample, "/twice", "1" },
    { sample, "/~01", "\"t\"" },
    { sample, "/a~1b", "\"s\"" },
    { sample, "/n", "2" },
    { sample, "/9", "\"nine\"" },
    { sample, "/nested//", "true" },
    { sample, "/nested/", "{\"\":true}" },
    { sample, "/last", "-12e3" },
    { "7", "", "7" },
    { " \"x\" ", "", "\"x\"" },
    { "\n[1, 2]\n", "", "[1, 2]" },
    { "7", "/", NULL },
    { "[]", "/0", NULL },
    { "{}", "/", NULL },
    { "[[[[5]]]]", "/0/0/0/0", "5" },
    { "{\"a\":{\"b\":1},\"b\":2}", "/b", "2" },
    { "{\"a\":1}", "/a~1", NULL },
};

START_TEST(finds)
{
    size_t len = strlen(paths[_i].text);
    char *copy = exactly(paths[_i].text, len);
    int rc;

    memset(&raw, 0, sizeof raw);
    rc = kedge_json_find(copy, len, paths[_i].path, &raw, &err);
    if (paths[_i].raw == NULL) {
        ck_assert_int_eq(rc, KEDGE_NOT_FOUND);
        ck_assert_ptr_null(raw.data);
    } else {
        ck_assert_msg(rc == KEDGE_OK, "'%s'", paths[_i].path);
        ck_assert_msg(raw.len == strlen(paths[_i].raw) &&
                          memcmp(raw.data, paths[_i].raw, raw.len) == 0,
                      "'%s' is '%.*s'", paths[_i].path, (int)raw.len, (const char *)raw.data);
        ck_assert((const char *)raw.data >= copy && (const char *)raw.data < copy + len);
    }
    free(copy);
}
END_TEST

static const struct {
    const char *path;
    const char *msg;
} no_paths[] = {
    { "a", "the path 'a' does not begin with '/'; the whole value is \"\"" },
    { "#/a", "the path '#/a' does not begin with '/'; the whole value is \"\"" },
    { "/a~", "the path '/a~' has a '~' that is neither ~0 nor ~1; write ~0 for the character "
             "itself" },
    { "/~2", "the path '/~2' has a '~' that is neither ~0 nor ~1; write ~0 for the character "
             "itself" },
    { "/~0~/b", "the path '/~0~/b' has a '~' that is neither ~0 nor ~1; write ~0 for the "
                "character itself" },
    { NULL, "path is NULL" },
};

START_TEST(refuses_what_is_no_path)
{
    int64_t n = 77;

    ck_assert_int_eq(kedge_json_find("{}", 2, no_paths[_i].path, &raw, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, no_paths[_i].msg);
    ck_assert_int_eq(kedge_json_int64("1", 1, no_paths[_i].path, &n, NULL), KEDGE_ERR_INVALID);
    ck_assert_int_eq(n, 77);
}
END_TEST

START_TEST(looks_at_all_of_the_text_first)
{
    static const char text[] = "{\"a\":1,\"b\":}";
    int64_t n = 77;

    ck_assert_int_eq(kedge_json_int64(text, strlen(text), "/a", &n, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "not JSON: at byte 11: a value is expected");
    ck_assert_int_eq(n, 77);
}
END_TEST

/* ----------------------------------------------------------------- readers */

static const struct {
    const char *text;
    const char *means;
    size_t len;
} strings[] = {
    { "\"\"", TEXT("") },
    { "\"abc\"", TEXT("abc") },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", TEXT("\"\\/\b\f\n\r\t") },
    { "\"\\u0041\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
      TEXT("A\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") },
    { "\"\\ud800\\udc00\\uDBFF\\uDFFF\"", TEXT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
    { "\"caf\xc3\xa9 \\u00E9 \xe2\x82\xac\"", TEXT("caf\xc3\xa9 \xc3\xa9 \xe2\x82\xac") },
    { "\"\\u0000\"", TEXT("\0") },
    { "\"a\\u0000b\\u0000\"", TEXT("a\0b\0") },
    { "\"\\\\u0000\"", TEXT("\\u0000") },
    { "\"\\u0000\\ud83d\\ude00\\n\"", TEXT("\0\xf0\x9f\x98\x80\n") },
};

START_TEST(reads_strings)
{
    const char *text = strings[_i].text;
    size_t want = strings[_i].len;
    char *exact = malloc(want + 1);
    size_t len = 777;

    ck_assert_ptr_nonnull(exact);
    ck_assert_int_eq(kedge_json_string(text, strlen(text), "", exact, want + 1, &len, &err),
                     KEDGE_OK);
    ck_assert_uint_eq(len, want);
    ck_assert_mem_eq(exact, strings[_i].means, want + 1);
    /* One byte less is too little, and then nothing is written but the length. */
    len = 777;
    memset(exact, 'x', want + 1);
    ck_assert_int_eq(kedge_json_string(text, strlen(text), "", exact, want, &len, &err),
                     KEDGE_ERR_TOO_BIG);
    ck_assert_uint_eq(len, want);
    for (size_t i = 0; i <= want; i++)
        ck_assert_int_eq(exact[i], 'x');
    ck_assert_int_eq(kedge_json_string(text, strlen(text), "", NULL, 0, &len, NULL),
                     KEDGE_ERR_TOO_BIG);
    free(exact);
    if (memchr(strings[_i].means, '\0', want) != NULL)
        ck_assert_int_eq(kedge_json_string(text, strlen(text), "", buf, sizeof buf, NULL, &err),
                         KEDGE_ERR_INVALID);
    else
        ck_assert_int_eq(kedge_json_string(text, strlen(text), "", buf, sizeof buf, NULL, &err),
                         KEDGE_OK);
}
END_TEST

START_TEST(says_why_it_reads_no_string)
{
    size_t len = 777;

    ck_assert_int_eq(kedge_json_string("{\"a\":1}", 7, "/a", buf, sizeof buf, &len, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the value at '/a' is not a string");
    ck_assert_int_eq(kedge_json_string("{\"a\":1}", 7, "/b", buf, sizeof buf, &len, &err),
                     KEDGE_NOT_FOUND);
    ck_assert_int_eq(kedge_json_string("\"\\u0000\"", 8, "", buf, sizeof buf, NULL, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the string at '' contains U+0000; ask for its length to read it");
    ck_assert_uint_eq(len, 777);
    ck_assert_int_eq(kedge_json_string("\"abc\"", 5, "", buf, 3, NULL, &err), KEDGE_ERR_TOO_BIG);
    ck_assert_str_eq(err.msg, "the string at '' needs 4 bytes, there is room for 3");
}
END_TEST

/* Of every length around a few words, with what is wrong or has a meaning in every place. */
START_TEST(looks_at_every_byte_of_a_string)
{
    char text[40];

    for (size_t len = 2; len < sizeof text; len++) {
        for (size_t at = 1; at + 1 < len; at++) {
            memset(text, 'x', len);
            text[0] = '"';
            text[len - 1] = '"';
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                compare(text, len);
            }
        }
    }
}
END_TEST

START_TEST(reads_big_strings)
{
    size_t n = 3000000;
    char *text = malloc(n + 2);
    char *to = malloc(n + 1);
    size_t len = 0;

    ck_assert(text != NULL && to != NULL);
    memset(text, 'x', n + 2);
    text[0] = '"';
    text[n + 1] = '"';
    ck_assert_int_eq(kedge_json_string(text, n + 2, "", to, n + 1, &len, &err), KEDGE_OK);
    ck_assert_uint_eq(len, n);
    ck_assert_mem_eq(to, text + 1, n);
    for (size_t i = 0; i < n; i++)
        text[1 + i] = "\\u20ac"[i % 6];
    ck_assert_int_eq(kedge_json_string(text, n + 2, "", to, n + 1, &len, &err), KEDGE_OK);
    ck_assert_uint_eq(len, n / 2);
    ck_assert_mem_eq(to + len - 3, "\xe2\x82\xac", 4);
    free(text);
    free(to);
}
END_TEST

static const struct {
    const char *text;
    int64_t value;
} integers[] = {
    { "0", 0 },
    { "-0", 0 },
    { "7", 7 },
    { "-1", -1 },
    { " 42 ", 42 },
    { "9007199254740993", INT64_C(9007199254740993) },
    { "-9007199254740993", -INT64_C(9007199254740993) },
    { "9223372036854775799", INT64_MAX - 8 },
    { "9223372036854775806", INT64_MAX - 1 },
    { "9223372036854775807", INT64_MAX },
    { "-9223372036854775807", -INT64_MAX },
    { "-9223372036854775808", INT64_MIN },
};

START_TEST(reads_integers)
{
    const char *text = integers[_i].text;
    int64_t n = 77;

    ck_assert_int_eq(kedge_json_int64(text, strlen(text), "", &n, &err), KEDGE_OK);
    ck_assert_int_eq(n, integers[_i].value);
}
END_TEST

#define NOT_NUMBER  "the value at '' is not a number"
#define NOT_INTEGER "the number at '' has a fraction or an exponent"
#define NOT_64      "the number at '' does not fit into 64 bits"

static const struct {
    const char *text;
    const char *msg;
} no_integers[] = {
    { "9223372036854775808", NOT_64 },
    { "9223372036854775810", NOT_64 },
    { "-9223372036854775809", NOT_64 },
    { "-9223372036854775810", NOT_64 },
    { "18446744073709551615", NOT_64 },
    { "18446744073709551616", NOT_64 },
    { "92233720368547758070", NOT_64 },
    { "100000000000000000000000000000000000", NOT_64 },
    { "1.0", NOT_INTEGER },
    { "1e3", NOT_INTEGER },
    { "1E3", NOT_INTEGER },
    { "-0.0", NOT_INTEGER },
    { "0e0", NOT_INTEGER },
    { "\"1\"", NOT_NUMBER },
    { "true", NOT_NUMBER },
    { "null", NOT_NUMBER },
    { "[1]", NOT_NUMBER },
    { "{}", NOT_NUMBER },
};

START_TEST(refuses_what_is_no_integer)
{
    const char *text = no_integers[_i].text;
    int64_t n = 77;

    ck_assert_int_eq(kedge_json_int64(text, strlen(text), "", &n, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, no_integers[_i].msg);
    ck_assert_int_eq(n, 77);
}
END_TEST

START_TEST(reads_booleans)
{
    static const char *const others[] = { "null", "1", "0", "\"true\"", "[true]", "{}" };
    int value = 77;

    ck_assert_int_eq(kedge_json_bool("{\"a\":true}", 10, "/a", &value, &err), KEDGE_OK);
    ck_assert_int_eq(value, 1);
    ck_assert_int_eq(kedge_json_bool("[false]", 7, "/0", &value, &err), KEDGE_OK);
    ck_assert_int_eq(value, 0);
    value = 77;
    ck_assert_int_eq(kedge_json_bool("[false]", 7, "/1", &value, &err), KEDGE_NOT_FOUND);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert_int_eq(kedge_json_bool(others[i], strlen(others[i]), "", &value, &err),
                         KEDGE_ERR_INVALID);
        ck_assert_str_eq(err.msg, "the value at '' is not a boolean");
    }
    ck_assert_int_eq(value, 77);
}
END_TEST

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a)))

static TCase *checking(void)
{
    TCase *tc = tcase_create("check");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, accepts, 0, ARRAY_LEN(good));
    tcase_add_loop_test(tc, refuses_and_says_where, 0, ARRAY_LEN(bad));
    tcase_add_loop_test(tc, says_what_is_wrong, 0, ARRAY_LEN(messages));
    tcase_add_test(tc, needs_neither_text_nor_message);
    tcase_add_test(tc, nests_that_deep_and_no_deeper);
    tcase_add_test(tc, judges_the_tables);
    tcase_add_test(tc, refuses_every_truncation);
    tcase_add_test(tc, judges_every_byte_in_every_place);
    tcase_add_test(tc, judges_random_bytes);
    tcase_add_test(tc, judges_random_words);
    tcase_add_test(tc, looks_at_every_byte_of_a_string);
    return tc;
}

static TCase *reading(void)
{
    TCase *tc = tcase_create("read");

    tcase_add_loop_test(tc, finds, 0, ARRAY_LEN(paths));
    tcase_add_loop_test(tc, refuses_what_is_no_path, 0, ARRAY_LEN(no_paths));
    tcase_add_test(tc, looks_at_all_of_the_text_first);
    tcase_add_loop_test(tc, reads_strings, 0, ARRAY_LEN(strings));
    tcase_add_test(tc, says_why_it_reads_no_string);
    tcase_add_test(tc, reads_big_strings);
    tcase_add_loop_test(tc, reads_integers, 0, ARRAY_LEN(integers));
    tcase_add_loop_test(tc, refuses_what_is_no_integer, 0, ARRAY_LEN(no_integers));
    tcase_add_test(tc, reads_booleans);
    return tc;
}

int main(void)
{
    Suite *s = suite_create("json");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, checking());
    suite_add_tcase(s, reading());
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
