/*
 * kedge-proxy - a proxy that loses, holds and cuts what goes between a client and its server
 *
 *	kedge-proxy LISTEN TARGET
 *
 * LISTEN and TARGET are HOST:PORT or unix:PATH; port 0 of LISTEN is any that is free.  It prints
 * "port N" (0 for unix:) when it can be connected to.  Then it is told on its standard input what
 *to do, line by line, and answers each line by one: see proxy.h, which `kedge-proxy --help' prints.
 *It ends with its input, or when it is told to "quit".
 *
 *	$ mkfifo say; kedge-proxy 127.0.0.1:7000 127.0.0.1:6379 <say & exec 3>say
 *	port 7000
 *	$ echo at reply 1 reset >&3        # the next answer is lost, and the connection with it
 *	ok
 *	$ redis-cli -p 7000 incr n
 *	Error: Connection reset by peer
 *
 * Exit status: 0 ended as asked, 1 could not go on, 2 usage.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "proxy.h"

static const char usage[] = "usage: kedge-proxy LISTEN TARGET\n"
                            "LISTEN, TARGET: HOST:PORT (port 0: any that is free) or unix:PATH\n";

static const char help[] =
    "Passes on what goes between clients, which connect to LISTEN, and the server at TARGET, and\n"
    "does harm as it is told on standard input, in lines, each of which is answered by one:\n"
    "\n" PROXY_LINES;

int main(int argc, char **argv)
{
    struct address ignored;
    int port = 0;
    int fd;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)printf("%s%s", usage, help);
        return 0;
    }
    if (argc != 3 || !address_parse(argv[2], &ignored)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    fd = proxy_listen(argv[1], &port);
    if (fd < 0) {
        (void)fprintf(stderr, "kedge-proxy: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    printf("port %d\n", port);
    (void)fflush(stdout);
    return proxy_serve(fd, argv[1], argv[2], STDIN_FILENO, STDOUT_FILENO);
}
