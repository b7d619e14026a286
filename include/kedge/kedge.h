/* kedge.h - what an application includes */
#ifndef KEDGE_KEDGE_H
#define KEDGE_KEDGE_H

#include <kedge/admin.h>
#include <kedge/base.h>
#include <kedge/error.h>
#include <kedge/reactor.h>
#include <kedge/run.h>
#include <kedge/store.h>
#include <kedge/value.h>
#include <kedge/version.h>
#include <kedge/worker.h>

#endif
