EXTRA_DIST += %D%/plugin/one.c %D%/plugin/Makefile.example

# The saga that README.md shows; tests/readme.sh compares the two and runs it.
check_PROGRAMS += order
order_SOURCES = %D%/order/order.c
order_LDADD = libkedge.la

# `make installcheck' (and so `make distcheck') builds a module against what was
# installed, and the installed program must find it usable.  So the promise that
# a backend can be written without our source is tested, not hoped for.
installcheck-local:
	rm -rf installcheck
	$(MKDIR_P) installcheck
	cd installcheck && \
	  PKG_CONFIG_PATH='$(DESTDIR)$(pkgconfigdir)' && export PKG_CONFIG_PATH && \
	  PKG_CONFIG_SYSROOT_DIR='$(DESTDIR)' && export PKG_CONFIG_SYSROOT_DIR && \
	  LD_LIBRARY_PATH='$(DESTDIR)$(libdir)' && export LD_LIBRARY_PATH && \
	  cp -f '$(abs_srcdir)/%D%/plugin/one.c' '$(abs_srcdir)/%D%/plugin/Makefile.example' . && \
	  $(MAKE) -f Makefile.example CC='$(CC)' CFLAGS='$(KEDGE_CFLAGS) $(CFLAGS)' LDFLAGS='$(KEDGE_LDFLAGS)' one.so && \
	  '$(DESTDIR)$(bindir)/kedge' backends ./one.so && \
	  '$(DESTDIR)$(bindir)/kedge' -b ./one.so store info one: && \
	  KEDGE_BACKEND_PATH="$$PWD" '$(DESTDIR)$(bindir)/kedge' backends one
clean-local:
	rm -rf installcheck check-long
