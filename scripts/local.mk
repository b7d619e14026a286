dist_noinst_SCRIPTS = %D%/test.sh %D%/install.sh %D%/apt.sh %D%/demo.sh %D%/check-long.sh %D%/bare.sh \
	%D%/certify.sh
EXTRA_DIST += %D%/cppcheck.suppress

# PARTS='tidy cppcheck' selects.
check-long:
	KEDGE_LONG_DIR='$(abs_builddir)/check-long' $(SHELL) '$(srcdir)/%D%/check-long.sh' $(PARTS)
.PHONY: check-long
