/* kedge.c - the program: from a command line to a command */
#include <config.h>

#include <locale.h>
#include <stdio.h>

#include "cli.h"

static enum cli_exit run(struct cli *cli, int argc, char **argv)
{
    enum cli_exit status = cli_parse(cli, argc, argv);

    if (status != CLI_EXIT_OK)
        return status;
    if (cli_has(cli, CLI_HELP)) {
        cli_print_help(stdout, cli->command);
        return CLI_EXIT_OK;
    }
    if (cli_has(cli, CLI_VERSION))
        return cli_version(cli);
    if (cli->command == NULL && cli->json)
        return cli_usage(cli, "no command given", NULL);
    if (cli->command == NULL) {
        cli_print_help(stderr, NULL);
        return CLI_EXIT_USAGE;
    }
    return cli->command->run(cli);
}

int main(int argc, char **argv)
{
    enum cli_exit status;
    struct cli cli;

    if (argc < 1)
        return CLI_EXIT_USAGE;
    (void)setlocale(LC_CTYPE, ""); /* which characters can be shown */
    status = run(&cli, argc, argv);
    /* A full disk behind standard output is a failure, not a silent success. */
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        perror("kedge: standard output");
        if (status == CLI_EXIT_OK)
            status = CLI_EXIT_FAILURE;
    }
    return (int)status;
}
