#!/bin/sh
# Timeouts and deadlines, over the backend in memory and with a clock that is moved.
exec "$KEDGE_BUILDDIR/timeouts" mem:timeouts .
