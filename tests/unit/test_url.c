/* test_url.c - store URLs: parts, decoding, sizes, and what may be shown of them */
#include <config.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backends/kit/url.h"

static struct kedge_url url;
static struct kedge_error err;
static char buf[64];
static char masked[KEDGE_URL_MASKED_MAX];

static struct kedge_bytes bytes(const char *text)
{
    return (struct kedge_bytes){ .data = text, .len = strlen(text) };
}

#define ASSERT_IS(part, text)                                                                      \
    ck_assert_msg(kedge_url_is((part), (text)), "%s is not '%s' but '%.*s'", #part, (text),        \
                  (int)(part).len, (part).len > 0 ? (const char *)(part).data : "")

START_TEST(a_scheme_alone)
{
    ck_assert_int_eq(kedge_url_split("mem:", &url, &err), KEDGE_OK);
    ASSERT_IS(url.scheme, "mem");
    ck_assert(!url.has_authority);
    ASSERT_IS(url.path, "");
    ASSERT_IS(url.query, "");
}
END_TEST

START_TEST(a_name)
{
    ck_assert_int_eq(kedge_url_split("mem:a:b//c", &url, &err), KEDGE_OK);
    ASSERT_IS(url.path, "a:b//c");
}
END_TEST

START_TEST(an_absolute_path_with_parameters)
{
    struct kedge_bytes name;
    struct kedge_bytes value;

    ck_assert_int_eq(kedge_url_split("lmdb:///var/lib/x?map_size=4GiB&&flag&e=a=b&", &url, &err),
                     KEDGE_OK);
    ck_assert(url.has_authority);
    ASSERT_IS(url.authority, "");
    ASSERT_IS(url.path, "/var/lib/x");
    ck_assert(kedge_url_next(&url.query, &name, &value));
    ASSERT_IS(name, "map_size");
    ASSERT_IS(value, "4GiB");
    ck_assert(kedge_url_next(&url.query, &name, &value));
    ASSERT_IS(name, "flag");
    ASSERT_IS(value, "");
    ck_assert(kedge_url_next(&url.query, &name, &value));
    ASSERT_IS(name, "e");
    ASSERT_IS(value, "a=b");
    ck_assert(!kedge_url_next(&url.query, &name, &value));
}
END_TEST

START_TEST(an_authority)
{
    ck_assert_int_eq(kedge_url_split("redis://u:p@host:1?x=1", &url, &err), KEDGE_OK);
    ASSERT_IS(url.authority, "u:p@host:1");
    ASSERT_IS(url.path, "");
    ASSERT_IS(url.query, "x=1");
}
END_TEST

static const char *const no_urls[] = { "", ":", "/tmp/x", "x", "4:x", "Mem:", "a b:", "://host" };

START_TEST(refuses_what_has_no_scheme)
{
    const char *text = no_urls[_i];

    ck_assert_int_eq(kedge_url_split(text, &url, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "is not a store URL; one looks like mem: or lmdb:"));
}
END_TEST

START_TEST(refuses_a_fragment)
{
    ck_assert_int_eq(kedge_url_split("mem:a#b", &url, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the URL 'mem:a#b' contains a '#', which must be written %23");
}
END_TEST

START_TEST(a_message_never_shows_a_password)
{
    ck_assert_int_eq(kedge_url_split("Redis://u:sesame@h/#", &url, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_null(strstr(err.msg, "sesame"));
    ck_assert_int_eq(kedge_url_split("redis://u:sesame@h/#", &url, &err), KEDGE_ERR_INVALID);
    ck_assert_ptr_null(strstr(err.msg, "sesame"));
}
END_TEST

START_TEST(decodes)
{
    ck_assert_int_eq(kedge_url_decode(bytes("/a%20b%2fc%C3%A9+"), "path", buf, sizeof buf, &err),
                     KEDGE_OK);
    ck_assert_str_eq(buf, "/a b/c\xc3\xa9+");
    ck_assert_int_eq(kedge_url_decode(bytes(""), "path", buf, sizeof buf, &err), KEDGE_OK);
    ck_assert_str_eq(buf, "");
}
END_TEST

static const char *const bad_escapes[] = { "%", "a%", "%4", "%4g", "%g4", "ab%2", "%%20" };

START_TEST(refuses_half_an_escape)
{
    ck_assert_int_eq(kedge_url_decode(bytes(bad_escapes[_i]), "path", buf, sizeof buf, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the path in the URL has a '%' without two hexadecimal digits after "
                              "it; write %25 for the character itself");
}
END_TEST

START_TEST(never_reads_past_the_end_of_the_part)
{
    /* The digits after the '%' are there, but belong to something else. */
    struct kedge_bytes part = { .data = "a%41", .len = 2 };

    ck_assert_int_eq(kedge_url_decode(part, "path", buf, sizeof buf, &err), KEDGE_ERR_INVALID);
}
END_TEST

START_TEST(refuses_an_encoded_nul)
{
    ck_assert_int_eq(kedge_url_decode(bytes("a%00b"), "path", buf, sizeof buf, &err),
                     KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the path in the URL contains %00, which nothing can name");
}
END_TEST

START_TEST(decodes_exactly_what_fits)
{
    ck_assert_int_eq(kedge_url_decode(bytes("%41bc"), "name", buf, 4, &err), KEDGE_OK);
    ck_assert_str_eq(buf, "Abc");
    ck_assert_int_eq(kedge_url_decode(bytes("abc%44"), "name", buf, 4, &err), KEDGE_ERR_INVALID);
    ck_assert_str_eq(err.msg, "the name in the URL is longer than 3 bytes");
}
END_TEST

static const struct {
    const char *text;
    uint64_t bytes;
} sizes[] = {
    { "0", 0 },
    { "4096", 4096 },
    { "7B", 7 },
    { "64KiB", 65536 },
    { "3MiB", 3145728 },
    { "4GiB", UINT64_C(4294967296) },
    { "1TiB", UINT64_C(1) << 40 },
    { "18446744073709551615", UINT64_MAX },
    { "16777215TiB", UINT64_C(16777215) << 40 },
};

START_TEST(understands_sizes)
{
    uint64_t n = 1;

    ck_assert_int_eq(kedge_url_size(bytes(sizes[_i].text), "map_size", &n, &err), KEDGE_OK);
    ck_assert_uint_eq(n, sizes[_i].bytes);
}
END_TEST

static const char *const no_sizes[] = {
    "",    "KiB",   "-1",          "+1", "1 KiB", "1kib", "4GB", "1.5GiB", "18446744073709551616",
    "0x1", "1KiBs", "16777216TiB",
};

START_TEST(refuses_what_is_no_size)
{
    uint64_t n = 77;

    ck_assert_int_eq(kedge_url_size(bytes(no_sizes[_i]), "map_size", &n, &err), KEDGE_ERR_INVALID);
    ck_assert_uint_eq(n, 77);
    ck_assert_ptr_nonnull(strstr(err.msg, "is not a size"));
}
END_TEST

static const struct {
    const char *url;
    const char *shown;
} masks[] = {
    { "mem:", "mem:" },
    { "lmdb:///var/a@b?map_size=1GiB", "lmdb:///var/a@b?map_size=1GiB" },
    { "redis://host:6379/0", "redis://host:6379/0" },
    { "redis://user:pw@host/0", "redis://***@host/0" },
    { "redis://:pw@host/0", "redis://***@host/0" },
    { "redis://user:p/w@host/0", "redis://***@host/0" },
    { "redis://user:p@w@host/0", "redis://***@host/0" },
    { "postgresql://h/db?user=u&password=pw&sslmode=require",
      "postgresql://h/db?user=u&password=***&sslmode=require" },
    { "postgresql://h/db?PASSWORD=pw", "postgresql://h/db?PASSWORD=***" },
    { "x://h?auth_token=t&passfile=&a=b", "x://h?auth_token=***&***&a=b" },
    { "x:?a_name_of_more_than_sixty_characters_before_it_comes_to_say_password=pw",
      "x:?a_name_of_more_than_sixty_characters_before_it_comes_to_say_password=***" },
    { "x:?p%61ssword=pw", "x:?p%61ssword=***" },
    { "user:pw@host", "user:***@host" },
    { "u@host", "***@host" },
    { "//u:pw@host", "//***@host" },
    { "x", "x" },
    { "", "" },
    /* what is in order stays */
    { "redis+unix:///run/redis.sock?db=3", "redis+unix:///run/redis.sock?db=3" },
    { "redis://[::1]:6379/0", "redis://[::1]:6379/0" },
    { "redis://::1/0", "redis://::1/0" },
    { "postgresql://h1:5432,[fe80::2]:5433,h3/db?target_session_attrs=read-write",
      "postgresql://h1:5432,[fe80::2]:5433,h3/db?target_session_attrs=read-write" },
    { "postgresql://%2Frun%2Fpostgresql:5433/db", "postgresql://%2Frun%2Fpostgresql:5433/db" },
    { "postgresql://h/db?passfile=/etc/pgpass&options=-c%20geqo%3Doff",
      "postgresql://h/db?passfile=/etc/pgpass&options=-c%20geqo%3Doff" },
    { "postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql" },
    { "lmdb:./a%20b%3Fc=d", "lmdb:./a%20b%3Fc=d" },
    /* each form of each server */
    { "rediss://u:sesame@h:6380/1", "rediss://***@h:6380/1" },
    { "redis+unix://u:sesame@/run/r.sock", "redis+unix://***@/run/r.sock" },
    { "redis+unix:///run/r.sock?password=sesame&db=1",
      "redis+unix:///run/r.sock?password=***&db=1" },
    { "postgres://u:sesame@h1:1,h2:2/db", "postgres://***@h1:1,h2:2/db" },
    { "postgresql://u@[::1]:5432/db", "postgresql://***@[::1]:5432/db" },
    { "postgresql://h/?sslpassword=sesame&sslmode=require",
      "postgresql://h/?sslpassword=***&sslmode=require" },
    { "postgresql://h/db?options=-c%20my.password%3Dsesame", "postgresql://h/db?options=***" },
    { "x:?proxy=http://u:sesame@h", "x:?proxy=***" },
    { "x:?proxy=u%3Asesame%40h", "x:?proxy=***" },
    /* encoded */
    { "redis://u:ses%40me@h/0", "redis://***@h/0" },
    { "redis://u%3Asesame%40h/0", "redis://***%40h/0" },
    { "redis://u%3Ases%40ame%40h/0", "redis://***%40h/0" },
    { "redis://u%253Asesame%2540h/0", "redis://***%2540h/0" },
    { "redis://u%3Asesame/0", "redis://u%3A***/0" },
    { "x:?pass%77ord=sesame", "x:?pass%77ord=***" },
    { "x:?password%3Dsesame", "x:?***" },
    { "x:?p=1%26password%3Dsesame", "x:?p=***" },
    { "x:?o=%2570assword%253Dsesame", "x:?o=***" },
    { "x:host=h%20password%3Dsesame", "x:host=h%20password%3D***" },
    { "x:host=h%20p%61ssword=sesame", "x:host=h%20p%61ssword=***" },
    /* behind wrappers */
    { "count+redis://u:sesame@h/0", "count+redis://***@h/0" },
    { "trace,to=/t/x+fault,n=1,die+redis://h:sesame/0",
      "trace,to=/t/x+fault,n=1,die+redis://h:***/0" },
    { "fault,key=sesame,rate=0.1+mem:", "fault,key=***,rate=0.1+mem:" },
    { "trace,to=u:sesame@h+mem:", "trace,to=***+mem:" },
    { "count,ses=ame", "count,ses=ame" },
    /* malformed */
    { "redis://u:ses/a@me?b=c@h/0", "redis://***@me?b=***" },
    { "redis://u:ses?ame@h/0", "redis://***@h/0" },
    { "redis://u:1?ame@h/0", "redis://***@h/0" },
    { "redis://u:ses?a=me@h/0", "redis://***@h/0" },
    { "u:ses?ame@h", "u:***@h" },
    { "redis://u:sesame", "redis://u:***" },
    { "redis://u:sesame:6379/0", "redis://u:***/0" },
    { "redis://:sesame/0", "redis://:***/0" },
    { "redis://[::1]sesame/0", "redis://[::1]***/0" },
    { "redis://[::1]:sesame/0", "redis://[::1]:***/0" },
    { "redis://[::1:sesame/0", "redis://[:***/0" },
    { "redis:///u:sesame@h/0", "redis://***@h/0" },
    { "x:?password=ses&ame", "x:?password=***&***" },
    { "x:?password:sesame", "x:?***" },
    { "redis://h&password=sesame", "redis://***" },
    { "x:?a=1;password=sesame", "x:?a=***" },
    /* not even a URL */
    { "host=h user=u password=sesame", "host=h user=u password=***" },
    { "host=h password='ses ame' dbname=d", "host=h password=***" },
    { "password = sesame?x", "password =***" },
    { "host=h password=s:esame@x", "***@x" },
    { "postgresql:host=h password=sesame", "postgresql:host=h password=***" },
    { "PGPASSWORD=sesame", "PGPASSWORD=***" },
};

START_TEST(masks_secrets)
{
    ck_assert_str_eq(kedge_url_mask(masks[_i].url, masked), masks[_i].shown);
}
END_TEST

/* Whatever the URL looks like, every place for it, every way of writing it. */
START_TEST(masks_a_secret_wherever_it_is)
{
    static const char *const before[] = {
        "redis://u:",
        "rediss://:",
        "redis+unix://u:",
        "postgresql://u:",
        "postgres://h:1,u:",
        "mem:u:",
        "u:",
        "//u:",
        "x:?password=",
        "x:?a&sslpassword=",
        "x://h?PASSWORD%3D",
        "x:?a=b%26password%3d",
        "host=h password=",
        "x:y passwd='",
        "x:/a?b=c&secret=",
        "x:?o=%20key%3d",
        "count+redis://u:",
        "trace,to=/t,x+fault,n=1+redis+unix://:",
        "count+x:?password=",
    };
    static const char *const after[] = { "", "/", "?", "&", "'", "%", "#", ":", " " };
    static const char *const end[] = { "@h", "@h:1/0?a=b", "%40h", "@h@i", "@h/a?b=c@d" };

    for (size_t b = 0; b < sizeof before / sizeof *before; b++) {
        for (size_t a = 0; a < sizeof after / sizeof *after; a++) {
            for (size_t e = 0; e < sizeof end / sizeof *end; e++) {
                char text[200];

                (void)snprintf(text, sizeof text, "%s%ssesame%s", before[b], after[a], end[e]);
                ck_assert_msg(strstr(kedge_url_mask(text, masked), "sesame") == NULL, "%s: %s",
                              text, masked);
            }
        }
    }
}
END_TEST

START_TEST(takes_a_wrapper_off)
{
    const char *const text = "fault,op=commit,n=3,die,to=/a:b?c%2B+trace+lmdb:/x,y+z";
    struct kedge_bytes name, settings, key, value;
    const char *behind = kedge_url_behind(text, &name, &settings);

    ck_assert_str_eq(behind, "trace+lmdb:/x,y+z");
    ASSERT_IS(name, "fault");
    ck_assert(kedge_url_setting(&settings, &key, &value));
    ASSERT_IS(key, "op");
    ASSERT_IS(value, "commit");
    ck_assert(kedge_url_setting(&settings, &key, &value));
    ck_assert(kedge_url_setting(&settings, &key, &value));
    ASSERT_IS(key, "die");
    ASSERT_IS(value, "");
    ck_assert(kedge_url_setting(&settings, &key, &value));
    ASSERT_IS(value, "/a:b?c%2B");
    ck_assert(!kedge_url_setting(&settings, &key, &value));
    behind = kedge_url_behind(behind, &name, &settings);
    ck_assert_str_eq(behind, "lmdb:/x,y+z");
    ASSERT_IS(name, "trace");
    ck_assert(!kedge_url_setting(&settings, &key, &value));
    ck_assert_ptr_null(kedge_url_behind(behind, &name, &settings));
}
END_TEST

static const char *const no_wrappers[] = { "",     "x",    "x,a=b", "+x:",   ",a+x:",
                                           "X+x:", "1+x:", "x-y+z", "x:y+z", "/x+y:" };

START_TEST(is_no_wrapper)
{
    struct kedge_bytes name, settings;

    ck_assert_ptr_null(kedge_url_behind(no_wrappers[_i], &name, &settings));
}
END_TEST

START_TEST(masks_urls_of_any_length)
{
    char text[3 * KEDGE_URL_MASKED_MAX];

    for (size_t n = 0; n < sizeof text; n++) {
        memset(text, 'x', n);
        text[n] = '\0';
        if (n > 8)
            memcpy(text, "s://u@h?", 8);
        ck_assert_uint_lt(strlen(kedge_url_mask(text, masked)), sizeof masked);
    }
}
END_TEST

#define ARRAY_LEN(a) ((int)(sizeof(a) / sizeof *(a)))

int main(void)
{
    Suite *s = suite_create("url");
    TCase *tc = tcase_create("url");
    SRunner *sr = srunner_create(s);
    int failed;

    suite_add_tcase(s, tc);
    tcase_add_test(tc, a_scheme_alone);
    tcase_add_test(tc, a_name);
    tcase_add_test(tc, an_absolute_path_with_parameters);
    tcase_add_test(tc, an_authority);
    tcase_add_loop_test(tc, refuses_what_has_no_scheme, 0, ARRAY_LEN(no_urls));
    tcase_add_test(tc, refuses_a_fragment);
    tcase_add_test(tc, a_message_never_shows_a_password);
    tcase_add_test(tc, decodes);
    tcase_add_loop_test(tc, refuses_half_an_escape, 0, ARRAY_LEN(bad_escapes));
    tcase_add_test(tc, never_reads_past_the_end_of_the_part);
    tcase_add_test(tc, refuses_an_encoded_nul);
    tcase_add_test(tc, decodes_exactly_what_fits);
    tcase_add_loop_test(tc, understands_sizes, 0, ARRAY_LEN(sizes));
    tcase_add_loop_test(tc, refuses_what_is_no_size, 0, ARRAY_LEN(no_sizes));
    tcase_add_loop_test(tc, masks_secrets, 0, ARRAY_LEN(masks));
    tcase_add_test(tc, masks_a_secret_wherever_it_is);
    tcase_add_test(tc, takes_a_wrapper_off);
    tcase_add_loop_test(tc, is_no_wrapper, 0, ARRAY_LEN(no_wrappers));
    tcase_add_test(tc, masks_urls_of_any_length);
    srunner_set_tap(sr, "-");
    srunner_run_all(sr, CK_SILENT);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
