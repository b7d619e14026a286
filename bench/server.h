/* server.h - what a server on this machine uses, seen from outside */
#ifndef KEDGE_BENCH_SERVER_H
#define KEDGE_BENCH_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Processor time of a process and its threads, and of all its children, also those that ended, in
   ns; -1: it cannot be seen from here. */
int64_t server_cpu_ns(pid_t pid);
/* The process that started this one; 0: it cannot be seen. */
pid_t server_parent(pid_t pid);
/* Calls of write(2) and its like by that process; -1: it cannot be seen. */
int64_t server_write_calls(pid_t pid);
/* Its name, as /proc tells it; "" for none that can be seen. */
void server_name(pid_t pid, char *name, size_t size);
/* What that process and its children have in memory, what they share counted once; -1: it cannot be
   seen. */
int64_t server_memory_kib(pid_t pid);

#endif
