/* cmd_help.c - kedge help, kedge version */
#include <config.h>

#include <kedge/backend.h>

#include "fields.h"
#include "out.h"

/* "store-info", as its manual page is called. */
static const struct cli_command *find_hyphened(const char *word)
{
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        size_t i = 0;

        while (c->name[i] == word[i] || (c->name[i] == ' ' && word[i] == '-')) {
            if (c->name[i++] == '\0')
                return c;
        }
    }
    return NULL;
}

enum cli_exit cli_help(const struct cli *cli)
{
    const struct cli_command *command = NULL;
    int taken = 0;

    if (cli->n_words > 0) {
        command = cli_find_command(cli->words, cli->n_words, &taken);
        if (command == NULL) {
            command = find_hyphened(cli->words[0]);
            taken = 1;
        }
        if (command == NULL)
            return cli_usage(cli, "there is no command", cli->words[0]);
        if (taken != cli->n_words)
            return cli_usage(cli, "one word too many:", cli->words[taken]);
    }
    if (cli_has(cli, CLI_MAN))
        cli_print_man(stdout, command);
    else
        cli_print_help(stdout, command);
    return CLI_EXIT_OK;
}

enum cli_exit cli_version(const struct cli *cli)
{
    struct cli_out *out;

    if (!cli->json) {
        (void)printf("kedge %s\n", KEDGE_VERSION);
        if (strcmp(kedge_version(), KEDGE_VERSION) != 0)
            (void)printf("libkedge %s\n", kedge_version());
        return CLI_EXIT_OK;
    }
    out = cli_out_record(cli, cli_version_fields);
    if (out != NULL) {
        cli_put_text(out, CLI_VERSION_PROGRAM, KEDGE_VERSION);
        cli_put_text(out, CLI_VERSION_LIBRARY, kedge_version());
        cli_put_number(out, CLI_VERSION_ABI, KEDGE_BACKEND_ABI);
        cli_row_end(out, -1);
    }
    return cli_out_end(out);
}
