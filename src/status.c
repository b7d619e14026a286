/* status.c - statuses in words */
#include <config.h>

#include <kedge/store.h>

const char *kedge_status_text(int status)
{
    switch (status) {
#define KEDGE_STATUS_CASE(name, value, text)                                                       \
    case value:                                                                                    \
        return text;
        KEDGE_STATUS_LIST(KEDGE_STATUS_CASE)
#undef KEDGE_STATUS_CASE
    default:
        return "unknown status";
    }
}

const char *kedge_status_name(int status)
{
    switch (status) {
#define KEDGE_STATUS_CASE(name, value, text)                                                       \
    case value:                                                                                    \
        return #name;
        KEDGE_STATUS_LIST(KEDGE_STATUS_CASE)
#undef KEDGE_STATUS_CASE
    default:
        return "UNKNOWN_STATUS";
    }
}

const char *kedge_version(void)
{
    return KEDGE_VERSION;
}
