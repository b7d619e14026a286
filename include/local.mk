# What an application (kedge.h and what it includes) and the author of a
# backend (backend.h) get to see.
kedgeinclude_HEADERS = \
	%D%/kedge/backend.h \
	%D%/kedge/error.h \
	%D%/kedge/kedge.h \
	%D%/kedge/store.h
nodist_kedgeinclude_HEADERS = %D%/kedge/version.h
