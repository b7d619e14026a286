# A proxy that does harm on the way to a server: for the suite and tests in their own process, for
# everybody else as a program.
noinst_LTLIBRARIES += libproxy.la
libproxy_la_SOURCES = %D%/proxy.h %D%/proxy.c %D%/serve.c %D%/address.h %D%/address.c
pkglibexec_PROGRAMS += kedge-proxy
kedge_proxy_SOURCES = %D%/main.c
kedge_proxy_LDADD = libproxy.la
