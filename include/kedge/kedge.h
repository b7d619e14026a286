/* kedge.h - what an application includes */
#ifndef KEDGE_KEDGE_H
#define KEDGE_KEDGE_H

#include <kedge/error.h>
#include <kedge/store.h>
#include <kedge/version.h>

#endif
