/* cmd_help.c - kedge help, kedge version */
#include <config.h>

#include <string.h>

#include "cli.h"

enum cli_exit cli_help(const struct cli *cli, int argc, char **argv)
{
    const struct cli_command *command = NULL;
    int words = 0;

    if (argc > 0) {
        command = cli_find_command(argc, argv, &words);
        if (command == NULL)
            return cli_usage(cli, "there is no command", argv[0]);
        if (words != argc)
            return cli_usage(cli, "one word too many:", argv[words]);
    }
    cli_print_help(stdout, command);
    return CLI_EXIT_OK;
}

enum cli_exit cli_version(const struct cli *cli, int argc, char **argv)
{
    if (argc > 0)
        return cli_usage(cli, "one word too many:", argv[0]);
    (void)printf("kedge %s\n", KEDGE_VERSION);
    if (strcmp(kedge_version(), KEDGE_VERSION) != 0)
        (void)printf("libkedge %s\n", kedge_version());
    return CLI_EXIT_OK;
}
