/* man.c - the manual pages, in mdoc(7), from the table */
#include <config.h>

#include <ctype.h>
#include <string.h>

#include "cli.h"

/* TEXT with what roff would act on made harmless.  A hyphen in something that is typed is a minus.
 */
static void text(FILE *out, const char *from, bool typed)
{
    bool begin = true;

    for (; *from != '\0'; from++) {
        if (begin && (*from == '.' || *from == '\''))
            (void)fputs("\\&", out);
        begin = *from == '\n';
        if (*from == '\\')
            (void)fputs("\\e", out);
        else if (*from == '-' && typed)
            (void)fputs("\\-", out);
        else
            (void)fputc(*from, out);
    }
}

static void line(FILE *out, const char *macro, const char *from)
{
    (void)fprintf(out, "%s ", macro);
    text(out, from, true);
    (void)fputc('\n', out);
}

/* A sentence of its own; tables have none of their stops. */
static void sentence(FILE *out, const char *from)
{
    (void)fputc(toupper((unsigned char)*from), out);
    text(out, from + 1, false);
    (void)fputs(".\n", out);
}

/* Paragraphs as they are in the table, where two spaces end a sentence: it ends a line here. */
static void details(FILE *out, const char *from)
{
    while (*from != '\0') {
        size_t len = strcspn(from, "\n");
        const char *stop = strstr(from, ".  ");
        char one[256];

        if (stop != NULL && (size_t)(stop - from) < len)
            len = (size_t)(stop - from) + 1;
        (void)snprintf(one, sizeof one, "%.*s", (int)len, from);
        if (len == 0)
            (void)fputs(".Pp", out);
        text(out, one, false);
        (void)fputc('\n', out);
        from += len + (from[len] == '\n' ? 1 : strspn(from + len, " "));
    }
}

/* Names in flags are escaped one by one: mdoc puts the first hyphen there. */
static void option_item(FILE *out, const struct cli_option *o)
{
    (void)fputs(".It ", out);
    if (o->letter != 0)
        (void)fprintf(out, "Fl %c , ", o->letter);
    (void)fputs("Fl \\-", out);
    text(out, o->name, true);
    if (o->value != NULL) {
        (void)fputs(o->kind == CLI_MAYBE ? " Ns Op = Ns Ar " : " Ar ", out);
        text(out, o->value, true);
    }
    (void)fputc('\n', out);
    sentence(out, o->help);
}

static void options_of(FILE *out, const uint8_t *options)
{
    (void)fputs(".Bl -tag -width Ds\n", out);
    for (int i = 0; i < CLI_N_OPTIONS; i++) {
        if (cli_among(options, i) && cli_options[i].help != NULL)
            option_item(out, &cli_options[i]);
    }
    (void)fputs(".El\n", out);
}

static void exit_status(FILE *out)
{
    (void)fputs(".Sh EXIT STATUS\n.Bl -tag -width 130 -compact\n", out);
#define CLI_EXIT_ITEM(name, value, meaning)                                                        \
    (void)fprintf(out, ".It %d\n", value);                                                         \
    sentence(out, meaning);
    CLI_EXIT_LIST(CLI_EXIT_ITEM)
#undef CLI_EXIT_ITEM
    (void)fputs(".El\n", out);
}

static void head(FILE *out, const char *name, const char *summary)
{
    char title[64];
    size_t i = 0;

    for (; name[i] != '\0' && i + 1 < sizeof title; i++)
        title[i] = name[i] == ' ' ? '-' : (char)toupper((unsigned char)name[i]);
    title[i] = '\0';
    (void)fprintf(out, ".Dd %s\n.Dt %s 1\n.Os kedge %s\n.Sh NAME\n.Nm ", KEDGE_DATE, title,
                  KEDGE_VERSION);
    for (i = 0; name[i] != '\0'; i++)
        (void)fputc(name[i] == ' ' ? '-' : name[i], out);
    line(out, "\n.Nd", summary);
}

static void page_of_program(FILE *out)
{
    head(out, "kedge", "durable sagas: look at them, and act on them");
    (void)fputs(".Sh SYNOPSIS\n.Nm kedge\n.Op Ar option ...\n.Ar command\n.Op Ar word ...\n"
                ".Sh DESCRIPTION\n"
                "A saga is carried out by workers, which are programs that use libkedge;\n"
                ".Nm kedge\n"
                "is for those who look after them: what runs there are, why one does not move,\n"
                "who works on what; and to cancel, pause, retry, undo.\n"
                "Everything is in a store, named by a URL such as\n"
                ".Pa lmdb:///var/lib/app .\n"
                ".Pp\nThe commands, each of which has a page of its own, like\n"
                ".Xr kedge-list 1 :\n.Bl -tag -width Ds -compact\n",
                out);
    for (const struct cli_command *c = cli_commands; c->name != NULL; c++) {
        line(out, ".It Ic", c->name);
        sentence(out, c->summary);
    }
    (void)fputs(".El\n.Pp\nOptions of every command, before or after it:\n", out);
    options_of(out, cli_everywhere);
    (void)
        fputs("What a command prints is for people, and may change.\n"
              "Scripts use\n.Fl \\-json ,\nwhose keys are stable, and exit statuses.\n"
              "Errors are one line on standard error; in JSON an object\n.Ql error\n"
              "with the members code, exit, message, and where there is one status and hint.\n"
              ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
              ".It Ev KEDGE_STORE\nThe store, unless\n.Fl s\nnames one.\n"
              ".It Ev KEDGE_BACKEND_PATH\nDirectories with further backends, separated by colons.\n"
              ".It Ev NO_COLOR\nNo colour, if it is set to anything.\n.El\n",
              out);
    exit_status(out);
}

static void page_of_command(FILE *out, const struct cli_command *c)
{
    char name[64];

    (void)snprintf(name, sizeof name, "kedge %s", c->name);
    head(out, name, c->summary);
    (void)fprintf(out, ".Sh SYNOPSIS\n.Nm kedge\n.Op Ar option ...\n.Ic %s\n", c->name);
    if (c->args[0] != '\0')
        line(out, ".Ar", c->args);
    (void)fputs(".Sh DESCRIPTION\n", out);
    sentence(out, c->summary);
    if (c->details != NULL) {
        (void)fputs(".Pp\n", out);
        details(out, c->details);
    }
    if (c->options != NULL) {
        (void)fputs(".Pp\nThe options are:\n", out);
        options_of(out, c->options);
    }
    (void)fputs(".Pp\nThose of every command are explained in\n.Xr kedge 1 .\n", out);
    if (c->fields != NULL) {
        (void)fputs(".Ss JSON\n64-bit integers are strings; what is not known is left out.\n"
                    ".Bl -tag -width Ds -compact\n",
                    out);
        for (const struct cli_field *f = c->fields; f->key != NULL; f++) {
            line(out, ".It Va", f->key);
            sentence(out, f->meaning);
        }
        (void)fputs(".El\n", out);
    }
    exit_status(out);
    if (c->examples != NULL) {
        (void)fputs(".Sh EXAMPLES\n", out);
        for (const struct cli_example *e = c->examples; e->line != NULL; e++) {
            sentence(out, e->says);
            line(out, ".Pp\n.Dl $ kedge", e->line);
            (void)fputs(e[1].line != NULL ? ".Pp\n" : "", out);
        }
    }
    (void)fputs(".Sh SEE ALSO\n.Xr kedge 1\n", out);
}

void cli_print_man(FILE *out, const struct cli_command *command)
{
    if (command == NULL)
        page_of_program(out);
    else
        page_of_command(out, command);
}
