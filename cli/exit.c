/* exit.c - what went wrong: a message, and an exit code */
#include <config.h>

#include <cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"

static bool as_json;

void cli_errors_as_json(void)
{
    as_json = true;
}

enum cli_exit cli_exit_code(int rc, const struct kedge_error *err)
{
    /* -Wswitch-enum makes this list complete whenever a status is added. */
    switch ((enum kedge_status)rc) {
    case KEDGE_OK:
        return CLI_EXIT_OK;
    case KEDGE_NOT_FOUND:
    case KEDGE_ERR_SCHEMA_MISSING:
        return CLI_EXIT_NOT_FOUND;
    case KEDGE_EXISTS:
    case KEDGE_STALE:
    case KEDGE_LOST:
    case KEDGE_HELD:
    case KEDGE_ERR_SCHEMA_OLD:
    case KEDGE_ERR_SCHEMA_NEW:
        return CLI_EXIT_STATE;
    case KEDGE_QUIET:
        return CLI_EXIT_TIMEOUT;
    case KEDGE_ERR_INVALID:
        return CLI_EXIT_USAGE;
    case KEDGE_ERR_UNAVAILABLE:
        return CLI_EXIT_UNREACHABLE;
    case KEDGE_ERR_PERMISSION:
        return CLI_EXIT_PERMISSION;
    case KEDGE_ERR_BACKEND:
        return err->sys_errno == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_FAILURE;
    case KEDGE_ERR_NOMEM:
    case KEDGE_ERR_UNKNOWN:
    case KEDGE_ERR_FULL:
    case KEDGE_ERR_TOO_BIG:
    case KEDGE_ERR_CORRUPT:
    case KEDGE_ERR_UNSUPPORTED:
    case KEDGE_STATUS_END_:
        break;
    }
    return CLI_EXIT_FAILURE;
}

static const char *exit_name(enum cli_exit status)
{
    switch (status) {
#define CLI_EXIT_NAME(name, value, text)                                                           \
    case CLI_EXIT_##name:                                                                          \
        return #name;
        CLI_EXIT_LIST(CLI_EXIT_NAME)
#undef CLI_EXIT_NAME
    }
    return "?";
}

/* One object, {"error": {...}}.  Without memory for it, the text is better than nothing. */
static void print_json(enum cli_exit status, const char *name, const char *message,
                       const char *hint)
{
    cJSON *outer = cJSON_CreateObject();
    cJSON *inner = cJSON_AddObjectToObject(outer, "error");
    char *text = NULL;

    if (cJSON_AddStringToObject(inner, "code", exit_name(status)) != NULL &&
        cJSON_AddNumberToObject(inner, "exit", (double)status) != NULL &&
        cJSON_AddStringToObject(inner, "message", message) != NULL &&
        (name == NULL || cJSON_AddStringToObject(inner, "status", name) != NULL) &&
        (hint == NULL || cJSON_AddStringToObject(inner, "hint", hint) != NULL))
        text = cJSON_PrintUnformatted(outer);
    (void)fprintf(stderr, "%s\n", text != NULL ? text : message);
    cJSON_free(text);
    cJSON_Delete(outer);
}

/* MESSAGE may quote words of the command line and names in the store: any bytes. */
static void print(enum cli_exit status, const char *name, const char *prefix, const char *message,
                  const char *hint)
{
    char *shown = cli_printable(message, !as_json);

    /* What has been printed comes first, where both go to one place. */
    (void)fflush(stdout);
    if (as_json)
        print_json(status, name, shown != NULL ? shown : "out of memory", hint);
    else
        (void)fprintf(stderr, "kedge%s: %s%s%s\n", prefix, shown != NULL ? shown : "out of memory",
                      hint != NULL ? "; see " : "", hint != NULL ? hint : "");
    free(shown);
}

static enum cli_exit tell(enum cli_exit status, const char *name, const char *message)
{
    print(status, name, "", message, NULL);
    return status;
}

enum cli_exit cli_fail(int rc, const struct kedge_error *err)
{
    /* A refusal comes without a message of its own. */
    return tell(cli_exit_code(rc, err), kedge_status_name(rc),
                rc < 0 ? err->msg : kedge_status_text(rc));
}

enum cli_exit cli_tell(enum cli_exit status, const char *format, ...)
{
    char message[2048];
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(message, sizeof message, format, ap);
    va_end(ap);
    return tell(status, NULL, message);
}

enum cli_exit cli_usage(const struct cli *cli, const char *message, const char *word)
{
    const char *open = word != NULL ? " '" : "";
    const char *close = word != NULL ? "'" : "";
    char command[40] = "";
    char text[1024];
    char hint[60];

    if (cli->command != NULL)
        (void)snprintf(command, sizeof command, " %s", cli->command->name);
    (void)snprintf(text, sizeof text, "%s%s%.900s%s", message, open, word != NULL ? word : "",
                   close);
    (void)snprintf(hint, sizeof hint, "kedge help%s", command);
    print(CLI_EXIT_USAGE, NULL, command, text, hint);
    return CLI_EXIT_USAGE;
}
