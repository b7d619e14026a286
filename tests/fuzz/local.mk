# Fuzz targets.  Each is a program, fuzz_TARGET, whose main() comes from replay.c here, and from
# libFuzzer in `scripts/check-long.sh fuzz', which does:
#
#	../configure CC=clang --with-sanitizer=address,undefined CFLAGS='-O1 -g -fsanitize=fuzzer-no-link'
#	make fuzz-targets KEDGE_FUZZ_MAIN= LDFLAGS=-fsanitize=fuzzer
#	./fuzz_url -dict=../tests/fuzz/url.dict NEW ../tests/fuzz/corpus/url
#
# What it finds goes into NEW.  The corpus is kept small; inputs that broke something stay in it:
#
#	./fuzz_url -merge=1 -max_len=200 MINIMAL ../tests/fuzz/corpus/url NEW
KEDGE_FUZZ_TARGETS = url record fold snapshot definition json cmdline codec
KEDGE_FUZZ_BUILT = fuzz_url fuzz_record fuzz_fold fuzz_snapshot fuzz_definition fuzz_json \
	fuzz_cmdline fuzz_codec
KEDGE_FUZZ_MAIN = libfuzz-main.la
KEDGE_FUZZ_LINK = $(KEDGE_FUZZ_MAIN) libkedge-core.la $(PTHREAD_LIBS)
check_LTLIBRARIES += libfuzz-main.la
libfuzz_main_la_SOURCES = %D%/replay.c %D%/fuzz.h

fuzz_url_SOURCES = %D%/url.c %D%/fuzz.h
fuzz_url_CPPFLAGS = $(AM_CPPFLAGS)
fuzz_url_LDADD = $(KEDGE_FUZZ_LINK)
fuzz_record_SOURCES = %D%/record.c %D%/fuzz.h
fuzz_record_LDADD = $(KEDGE_FUZZ_LINK)
fuzz_fold_SOURCES = %D%/fold.c %D%/fold_kit.c %D%/fold_kit.h %D%/fuzz.h
fuzz_fold_LDADD = $(KEDGE_FUZZ_LINK)
fuzz_snapshot_SOURCES = %D%/snapshot.c %D%/fold_kit.c %D%/fold_kit.h %D%/fuzz.h
fuzz_snapshot_LDADD = $(KEDGE_FUZZ_LINK)
fuzz_definition_SOURCES = %D%/definition.c %D%/fuzz.h
fuzz_definition_CPPFLAGS = $(AM_CPPFLAGS) $(XXHASH_CFLAGS)
fuzz_definition_LDADD = $(KEDGE_FUZZ_LINK)
fuzz_json_SOURCES = %D%/json.c %D%/fuzz.h
fuzz_json_CPPFLAGS = $(AM_CPPFLAGS) $(CJSON_CFLAGS)
fuzz_json_LDADD = $(KEDGE_FUZZ_LINK) $(CJSON_LIBS)
fuzz_cmdline_SOURCES = %D%/cmdline.c %D%/fuzz.h
fuzz_cmdline_LDADD = $(KEDGE_FUZZ_MAIN) libcli.la

# What stores of bytes read.
fuzz_codec_SOURCES = %D%/codec.c %D%/fuzz.h backends/kit/codec.c
fuzz_codec_CPPFLAGS = $(AM_CPPFLAGS) $(XXHASH_CFLAGS)
fuzz_codec_LDADD = $(KEDGE_FUZZ_LINK)
if STATIC_LMDB
fuzz_url_SOURCES += backends/lmdb/params.c
fuzz_url_CPPFLAGS += $(LMDB_CFLAGS) -DFUZZ_LMDB
endif
if MODULE_LMDB
fuzz_url_SOURCES += backends/lmdb/params.c
fuzz_url_CPPFLAGS += $(LMDB_CFLAGS) -DFUZZ_LMDB
endif

check_PROGRAMS += $(KEDGE_FUZZ_BUILT)
fuzz-targets: $(KEDGE_FUZZ_BUILT)
.PHONY: fuzz-targets
dist_check_SCRIPTS += %D%/replay.sh
TESTS += %D%/replay.sh
EXTRA_DIST += %D%/corpus %D%/cmdline.dict %D%/definition.dict %D%/json.dict %D%/record.dict %D%/url.dict
