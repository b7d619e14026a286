EXTRA_DIST += %D%/plugin/one.c %D%/plugin/Makefile.example \
	%D%/store-file/file.c %D%/store-file/Makefile.example

# The template for a backend of one's own lies where pkg-config finds it, as the kit does.
templatedir = $(datadir)/kedge/template
template_DATA = %D%/store-file/file.c %D%/store-file/Makefile.example

# The saga that README.md shows; tests/readme.sh compares the two and runs it.
check_PROGRAMS += order
order_SOURCES = %D%/order/order.c
order_LDADD = libkedge.la

# `make installcheck' (and so `make distcheck'): programs and a module are built against what was
# installed, and run.  So the promises to those who do not have our source are tested, not hoped for.
EXTRA_DIST += tests/installed.sh tests/ctypes_smoke.py
installcheck-local:
	DESTDIR='$(DESTDIR)' BINDIR='$(bindir)' LIBDIR='$(libdir)' INCLUDEDIR='$(includedir)' \
	  PKGCONFIGDIR='$(pkgconfigdir)' BACKENDDIR='$(backenddir)' VERSION='$(VERSION)' \
	  KEDGE_BACKEND_ABI='$(KEDGE_BACKEND_ABI)' KEDGE_ABI_NODE='$(KEDGE_ABI_NODE)' \
	  KEDGE_SO_MAJOR="$$(echo '$(KEDGE_LT_VERSION)' | $(AWK) -F: '{ print $$1 - $$3 }')" \
	  KEDGE_BUILT='$(kedge_static_backends) $(kedge_module_backends)' \
	  KEDGE_BUILT_STATIC='$(kedge_static_backends)' KEDGE_MAP='$(abs_builddir)/src/kedge.map' \
	  KEDGE_CFLAGS='$(KEDGE_CFLAGS) $(CFLAGS)' KEDGE_LDFLAGS='$(KEDGE_LDFLAGS) $(LDFLAGS)' \
	  KEDGE_SRCDIR='$(abs_srcdir)' CC='$(CC)' CXX='$(CXX)' NM='$(NM)' READELF='$(READELF)' \
	  MAKE='$(MAKE)' PKG_CONFIG='$(PKG_CONFIG)' $(SHELL) '$(srcdir)/tests/installed.sh'
clean-local:
	rm -rf check-long
