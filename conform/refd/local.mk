# Serves a store to the processes that open it as shared:SOCKET.
pkglibexec_PROGRAMS += kedge-refd
kedge_refd_SOURCES = %D%/refd.c %D%/serve.c %D%/serve.h
kedge_refd_LDADD = libkedge-wire.la libkedge.la $(PTHREAD_LIBS)
