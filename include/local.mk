# What an application (kedge.h and what it includes) and the author of a
# backend (backend.h) get to see.
kedgeinclude_HEADERS = \
	%D%/kedge/admin.h \
	%D%/kedge/backend.h \
	%D%/kedge/base.h \
	%D%/kedge/error.h \
	%D%/kedge/kedge.h \
	%D%/kedge/reactor.h \
	%D%/kedge/run.h \
	%D%/kedge/store.h \
	%D%/kedge/testing.h \
	%D%/kedge/value.h \
	%D%/kedge/worker.h
nodist_kedgeinclude_HEADERS = %D%/kedge/version.h
