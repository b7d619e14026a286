/* help.c - what --help prints, from the table */
#include <config.h>

#include <string.h>

#include "cli.h"

static void option_line(FILE *out, const struct cli_option *o)
{
    char letter[8] = "    ";
    char name[64];

    if (o->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    (void)snprintf(name, sizeof name, "%s--%s%s%s%s", letter, o->name,
                   o->kind == CLI_MAYBE   ? "[="
                   : o->kind == CLI_VALUE ? " "
                                          : "",
                   o->value != NULL ? o->value : "", o->kind == CLI_MAYBE ? "]" : "");
    (void)fprintf(out, "  %-28s %s\n", name, o->help);
}

/* Those of OPTIONS that COMMAND (NULL: none in particular) has a use for. */
static void options_of(FILE *out, const uint8_t *options, const struct cli_command *command)
{
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (cli_among(options, i) && cli_takes(command, i) && cli_options[i].help != NULL)
            option_line(out, &cli_options[i]);
    }
}

static void help_of(FILE *out, const struct cli_command *c)
{
    (void)fprintf(out, "usage: kedge [OPTION...] %s%s%s\n\n%s\n", c->name,
                  c->args[0] != '\0' ? " " : "", c->args, c->summary);
    if (c->details != NULL)
        (void)fprintf(out, "\n%s", c->details);
    if (c->options != NULL) {
        (void)fputs("\nOptions:\n", out);
        options_of(out, c->options, c);
    }
    (void)fputs("\nOptions of every command:\n", out);
    options_of(out, cli_everywhere, c);
    if (c->fields != NULL) {
        (void)fputs("\nIn JSON (64-bit integers are strings, what is not known is left out):\n",
                    out);
        for (const struct cli_field *f = c->fields; f->key != NULL; f++)
            (void)fprintf(out, "  %-14s %s\n", f->key, f->meaning);
    }
    if (c->examples != NULL) {
        (void)fputs("\nExamples:\n", out);
        for (const struct cli_example *e = c->examples; e->line != NULL; e++)
            (void)fprintf(out, "  kedge %s\n      %s\n", e->line, e->says);
    }
}

void cli_print_help(FILE *out, const struct cli_command *command)
{
    if (command != NULL) {
        help_of(out, command);
        return;
    }
    (void)fputs("usage: kedge [OPTION...] COMMAND [WORD...]\n\nCommands:\n", out);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++)
        (void)fprintf(out, "  %-14s %s\n", c->name, c->summary);
    (void)fputs("\nOptions of every command, before or after it:\n", out);
    options_of(out, cli_everywhere, NULL);
    (void)fputs("\nExit status:\n", out);
#define CLI_EXIT_LINE(name, value, text) (void)fprintf(out, "  %-3d  %s\n", value, text);
    CLI_EXIT_LIST(CLI_EXIT_LINE)
#undef CLI_EXIT_LINE
    (void)fputs("\nkedge help COMMAND explains one of them.\n", out);
}
