#!/bin/sh
# Worker processes killed with -9 on Redis: see takeovers.sh.
# shellcheck source=tests/engine/takeovers.sh
. "$KEDGE_SRCDIR/tests/engine/takeovers.sh"
takeovers redis
