/*
 * faultproxy.c - the proxy as a program, for scripts and by hand; its lines are in proxy.h
 *
 *	./faultproxy LISTEN TARGET          LISTEN and TARGET: tcp:ADDRESS:PORT or unix:PATH
 *
 * Prints "port N" (0 for unix:) when it listens, then answers each line of its input.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy.h"

int main(int argc, char **argv)
{
    int port = 0;
    int fd;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: faultproxy LISTEN TARGET\n");
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    fd = proxy_listen(argv[1], &port);
    if (fd < 0) {
        (void)fprintf(stderr, "faultproxy: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    printf("port %d\n", port);
    (void)fflush(stdout);
    return proxy_serve(fd, argv[1], argv[2], STDIN_FILENO, STDOUT_FILENO);
}
