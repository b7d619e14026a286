/* exit.c - from a status to an exit code, and a message */
#include <config.h>

#include <errno.h>

#include "cli.h"

static enum cli_exit exit_code(int rc, const struct kedge_error *err)
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

enum cli_exit cli_fail(int rc, const struct kedge_error *err)
{
    /* A refusal comes without a message of its own. */
    (void)fprintf(stderr, "kedge: %s\n", rc < 0 ? err->msg : kedge_status_text(rc));
    return exit_code(rc, err);
}
