/*
 * test_abi.c - the plug-in structures as they stand, offset by offset, and what has grown beside
 * them
 *
 * A module that was built yesterday must still be understood: members are added at the end, never
 * moved.  This file changes only together with KEDGE_BACKEND_ABI, or by new lines.  Everything is
 * checked by the compiler; the program has nothing left to do.
 */
#include <config.h>

#include <stdio.h>

#include <kedge/backend.h>
#include <kedge/run.h>
#include <kedge/store.h>

#define AT(type, member, offset)                                                                   \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member " has moved")
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " has another size")

_Static_assert(KEDGE_BACKEND_ABI == 1u, "a new ABI needs new tables");

#if UINTPTR_MAX == UINT64_MAX && (defined(__x86_64__) || defined(__aarch64__))
AT(kedge_bytes, data, 0);
AT(kedge_bytes, len, 8);
SIZE(kedge_bytes, 16);

AT(kedge_id128, b, 0);
SIZE(kedge_id128, 16);

AT(kedge_when, us, 0);
AT(kedge_when, base, 8);
AT(kedge_when, reserved, 12);
SIZE(kedge_when, 16);

AT(kedge_host, struct_size, 0);
AT(kedge_host, abi, 4);
AT(kedge_host, ctx, 8);
AT(kedge_host, clock_us, 16);
AT(kedge_host, log, 24);
AT(kedge_host, alloc, 32);
AT(kedge_host, release, 40);
SIZE(kedge_host, 48);

AT(kedge_mem, next, 0);
AT(kedge_mem, used, 8);
AT(kedge_mem, size, 16);
AT(kedge_mem, reserved, 24);
SIZE(kedge_mem, 32);

AT(kedge_run, id, 0);
AT(kedge_run, reactor, 16);
AT(kedge_run, queue, 32);
AT(kedge_run, context, 48);
AT(kedge_run, parent, 64);
AT(kedge_run, root, 80);
AT(kedge_run, parent_incarnation, 96);
AT(kedge_run, parent_set, 104);
AT(kedge_run, parent_slot, 108);
AT(kedge_run, incarnation, 112);
AT(kedge_run, revision, 120);
AT(kedge_run, fence, 128);
AT(kedge_run, position, 136);
AT(kedge_run, snapshot_position, 144);
AT(kedge_run, holder, 152);
AT(kedge_run, version, 168);
AT(kedge_run, status, 172);
AT(kedge_run, place, 176);
AT(kedge_run, wakes_on, 180);
AT(kedge_run, requests, 184);
AT(kedge_run, recoveries, 188);
AT(kedge_run, wake_mark, 192);
AT(kedge_run, reserved, 196);
AT(kedge_run, due, 200);
AT(kedge_run, created, 208);
AT(kedge_run, finished, 216);
AT(kedge_run, expires, 224);
AT(kedge_run, hold_until, 232);
SIZE(kedge_run, 240);

AT(kedge_record, number, 0);
AT(kedge_record, request, 8);
AT(kedge_record, time, 24);
AT(kedge_record, data, 32);
SIZE(kedge_record, 48);

AT(kedge_serve, queue, 0);
AT(kedge_serve, reactor, 16);
AT(kedge_serve, version_min, 32);
AT(kedge_serve, version_max, 36);
SIZE(kedge_serve, 40);

AT(kedge_lease, id, 0);
AT(kedge_lease, owner, 16);
AT(kedge_lease, serves, 32);
AT(kedge_lease, n_serves, 40);
AT(kedge_lease, ttl_us, 48);
AT(kedge_lease, deadline, 56);
AT(kedge_lease, remaining_us, 64);
AT(kedge_lease, granted, 72);
AT(kedge_lease, attention, 80);
AT(kedge_lease, incarnation, 88);
AT(kedge_lease, state, 96);
AT(kedge_lease, hint, 100);
SIZE(kedge_lease, 104);

AT(kedge_guard, kind, 0);
AT(kedge_guard, statuses, 4);
AT(kedge_guard, name, 8);
AT(kedge_guard, lease, 24);
AT(kedge_guard, number, 40);
AT(kedge_guard, from, 48);
AT(kedge_guard, to, 56);
SIZE(kedge_guard, 64);

AT(kedge_run_new, reactor, 0);
AT(kedge_run_new, queue, 16);
AT(kedge_run_new, context, 32);
AT(kedge_run_new, parent, 48);
AT(kedge_run_new, root, 64);
AT(kedge_run_new, parent_incarnation, 80);
AT(kedge_run_new, parent_set, 88);
AT(kedge_run_new, parent_slot, 92);
AT(kedge_run_new, version, 96);
AT(kedge_run_new, reserved, 100);
AT(kedge_run_new, due, 104);
AT(kedge_run_new, lease, 120);
AT(kedge_run_new, hold_until, 136);
SIZE(kedge_run_new, 152);

AT(kedge_change, kind, 0);
AT(kedge_change, reserved, 4);
AT(kedge_change, name, 8);
AT(kedge_change, create, 24);
AT(kedge_change, take.hold_until, 40);
AT(kedge_change, append.records, 24);
AT(kedge_change, append.n, 32);
AT(kedge_change, append.first, 40);
AT(kedge_change, snapshot.data, 24);
AT(kedge_change, snapshot.position, 40);
AT(kedge_change, set.mask, 24);
AT(kedge_change, set.status, 28);
AT(kedge_change, set.recoveries, 32);
AT(kedge_change, set.clear_requests, 36);
AT(kedge_change, set.queue, 40);
AT(kedge_change, set.expires, 56);
AT(kedge_change, set.hold_until, 72);
AT(kedge_change, release.place, 24);
AT(kedge_change, release.status, 28);
AT(kedge_change, release.wakes_on, 32);
AT(kedge_change, release.when, 40);
AT(kedge_change, request.bits, 24);
AT(kedge_change, slots.set, 24);
AT(kedge_change, slots.total, 28);
AT(kedge_change, slot.incarnation, 24);
AT(kedge_change, slot.set, 32);
AT(kedge_change, slot.index, 36);
AT(kedge_change, slot.wake_at, 40);
AT(kedge_change, slot.value, 48);
AT(kedge_change, cell.value, 24);
AT(kedge_change, cell.expires, 40);
AT(kedge_change, lock.lease, 24);
AT(kedge_change, lock.fence, 40);
SIZE(kedge_change, 88);

AT(kedge_commit, request, 0);
AT(kedge_commit, guards, 16);
AT(kedge_commit, n_guards, 24);
AT(kedge_commit, changes, 32);
AT(kedge_commit, n_changes, 40);
AT(kedge_commit, results, 48);
SIZE(kedge_commit, 56);

AT(kedge_answer, outcome, 0);
AT(kedge_answer, at, 4);
AT(kedge_answer, requests, 8);
AT(kedge_answer, status, 12);
AT(kedge_answer, revision, 16);
AT(kedge_answer, position, 24);
AT(kedge_answer, fence, 32);
AT(kedge_answer, why, 40);
SIZE(kedge_answer, 200);

AT(kedge_open, struct_size, 0);
AT(kedge_open, flags, 4);
AT(kedge_open, url, 8);
AT(kedge_open, ns, 16);
AT(kedge_open, options, 32);
AT(kedge_open, inner, 40);
SIZE(kedge_open, 48);

AT(kedge_script, mem, 0);
AT(kedge_script, text, 8);
AT(kedge_script, from, 16);
AT(kedge_script, to, 20);
SIZE(kedge_script, 24);

AT(kedge_lease_new, id, 0);
AT(kedge_lease_new, request, 16);
AT(kedge_lease_new, owner, 32);
AT(kedge_lease_new, serves, 48);
AT(kedge_lease_new, n_serves, 56);
AT(kedge_lease_new, ttl_us, 64);
SIZE(kedge_lease_new, 72);

AT(kedge_lease_state, deadline, 0);
AT(kedge_lease_state, remaining_us, 8);
AT(kedge_lease_state, attention, 16);
AT(kedge_lease_state, hint, 24);
AT(kedge_lease_state, reserved, 28);
SIZE(kedge_lease_state, 32);

AT(kedge_lease_page, mem, 0);
AT(kedge_lease_page, leases, 8);
AT(kedge_lease_page, n, 16);
AT(kedge_lease_page, next, 24);
SIZE(kedge_lease_page, 40);

AT(kedge_held, is_lock, 0);
AT(kedge_held, requests, 4);
AT(kedge_held, name, 8);
AT(kedge_held, fence, 24);
SIZE(kedge_held, 32);

AT(kedge_held_page, mem, 0);
AT(kedge_held_page, held, 8);
AT(kedge_held_page, n, 16);
AT(kedge_held_page, next, 24);
SIZE(kedge_held_page, 40);

AT(kedge_lock_state, holder, 0);
AT(kedge_lock_state, fence, 16);
AT(kedge_lock_state, remaining_us, 24);
SIZE(kedge_lock_state, 32);

AT(kedge_claim, request, 0);
AT(kedge_claim, lease, 16);
AT(kedge_claim, serves, 32);
AT(kedge_claim, n_serves, 40);
AT(kedge_claim, limit, 48);
AT(kedge_claim, hold_until, 56);
SIZE(kedge_claim, 72);

AT(kedge_run_page, mem, 0);
AT(kedge_run_page, runs, 8);
AT(kedge_run_page, reasons, 16);
AT(kedge_run_page, n, 24);
AT(kedge_run_page, next, 32);
AT(kedge_run_page, next_due, 48);
SIZE(kedge_run_page, 56);

AT(kedge_retrieve, id, 0);
AT(kedge_retrieve, incarnation, 16);
AT(kedge_retrieve, want, 24);
AT(kedge_retrieve, reserved, 28);
SIZE(kedge_retrieve, 32);

AT(kedge_run_state, mem, 0);
AT(kedge_run_state, run, 8);
AT(kedge_run_state, snapshot, 248);
AT(kedge_run_state, tail, 264);
AT(kedge_run_state, n_tail, 272);
SIZE(kedge_run_state, 280);

AT(kedge_record_page, mem, 0);
AT(kedge_record_page, records, 8);
AT(kedge_record_page, n, 16);
AT(kedge_record_page, next, 24);
SIZE(kedge_record_page, 32);

AT(kedge_slot, index, 0);
AT(kedge_slot, reserved, 4);
AT(kedge_slot, value, 8);
SIZE(kedge_slot, 24);

AT(kedge_slot_page, mem, 0);
AT(kedge_slot_page, slots, 8);
AT(kedge_slot_page, n, 16);
AT(kedge_slot_page, total, 24);
AT(kedge_slot_page, remaining, 28);
AT(kedge_slot_page, next, 32);
SIZE(kedge_slot_page, 40);

AT(kedge_list, statuses, 0);
AT(kedge_list, newest_first, 4);
AT(kedge_list, reactor, 8);
AT(kedge_list, parent, 24);
AT(kedge_list, parent_incarnation, 40);
AT(kedge_list, unserved, 48);
AT(kedge_list, reserved, 52);
AT(kedge_list, serves, 56);
AT(kedge_list, n_serves, 64);
AT(kedge_list, limit, 72);
AT(kedge_list, cursor, 80);
SIZE(kedge_list, 96);

AT(kedge_cell, mem, 0);
AT(kedge_cell, value, 8);
AT(kedge_cell, version, 24);
AT(kedge_cell, expires, 32);
SIZE(kedge_cell, 40);

AT(kedge_purged, runs, 0);
AT(kedge_purged, rows, 8);
AT(kedge_purged, more, 16);
AT(kedge_purged, reserved, 20);
SIZE(kedge_purged, 24);

AT(kedge_time, wall, 0);
AT(kedge_time, lease, 8);
SIZE(kedge_time, 16);

AT(kedge_limits, struct_size, 0);
AT(kedge_limits, reserved, 4);
AT(kedge_limits, id_max, 8);
AT(kedge_limits, value_max, 16);
AT(kedge_limits, cell_max, 24);
AT(kedge_limits, batch_items, 32);
AT(kedge_limits, batch_bytes, 40);
AT(kedge_limits, commit_changes, 48);
AT(kedge_limits, commit_bytes, 56);
AT(kedge_limits, page_max, 64);
AT(kedge_limits, ttl_min_us, 72);
AT(kedge_limits, ttl_max_us, 80);
SIZE(kedge_limits, 88);

AT(kedge_fact, name, 0);
AT(kedge_fact, value, 8);
SIZE(kedge_fact, 16);

AT(kedge_info, mem, 0);
AT(kedge_info, server, 8);
AT(kedge_info, place, 16);
AT(kedge_info, durability, 24);
AT(kedge_info, schema, 28);
AT(kedge_info, caps, 32);
AT(kedge_info, incarnation, 40);
AT(kedge_info, limits, 48);
AT(kedge_info, facts, 136);
AT(kedge_info, n_facts, 144);
SIZE(kedge_info, 152);

AT(kedge_verified, mem, 0);
AT(kedge_verified, runs, 8);
AT(kedge_verified, records, 16);
AT(kedge_verified, faults, 24);
AT(kedge_verified, first, 32);
SIZE(kedge_verified, 40);

AT(kedge_backend_ops, struct_size, 0);
AT(kedge_backend_ops, abi, 4);
AT(kedge_backend_ops, caps, 8);
AT(kedge_backend_ops, threads, 16);
AT(kedge_backend_ops, reserved, 20);
AT(kedge_backend_ops, name, 24);
AT(kedge_backend_ops, version, 32);
AT(kedge_backend_ops, limits, 40);
AT(kedge_backend_ops, store_open, 48);
AT(kedge_backend_ops, store_close, 56);
AT(kedge_backend_ops, store_drop, 64);
AT(kedge_backend_ops, session_open, 72);
AT(kedge_backend_ops, session_close, 80);
AT(kedge_backend_ops, info, 88);
AT(kedge_backend_ops, now, 96);
AT(kedge_backend_ops, lease_grant, 104);
AT(kedge_backend_ops, lease_extend, 112);
AT(kedge_backend_ops, lease_revoke, 120);
AT(kedge_backend_ops, lease_bury, 128);
AT(kedge_backend_ops, lease_list, 136);
AT(kedge_backend_ops, list_held, 144);
AT(kedge_backend_ops, lock_acquire, 152);
AT(kedge_backend_ops, lock_extend, 160);
AT(kedge_backend_ops, lock_release, 168);
AT(kedge_backend_ops, lock_query, 176);
AT(kedge_backend_ops, commit, 184);
AT(kedge_backend_ops, claim, 192);
AT(kedge_backend_ops, retrieve, 200);
AT(kedge_backend_ops, retrieve_records, 208);
AT(kedge_backend_ops, retrieve_slots, 216);
AT(kedge_backend_ops, list_expired, 224);
AT(kedge_backend_ops, list, 232);
AT(kedge_backend_ops, cell_get, 240);
AT(kedge_backend_ops, purge, 248);
AT(kedge_backend_ops, verify, 256);
AT(kedge_backend_ops, wait, 264);
AT(kedge_backend_ops, notify, 272);
AT(kedge_backend_ops, schema_script, 280);
SIZE(kedge_backend_ops, 288);

/* What programs hand in: those that were built with less of it go on working. */
AT(kedge_store_options, struct_size, 0);
AT(kedge_store_options, flags, 8);
AT(kedge_store_options, reserved, 12);
AT(kedge_store_options, backend, 16);
AT(kedge_store_options, ns, 24);
AT(kedge_store_options, host, 32); /* here ended the first one */
AT(kedge_store_options, backend_options, 40);
SIZE(kedge_store_options, 48);

AT(kedge_run_filter, struct_size, 0);
AT(kedge_run_filter, statuses, 8);
AT(kedge_run_filter, newest_first, 12);
AT(kedge_run_filter, reactor, 16);
AT(kedge_run_filter, limit, 32);
AT(kedge_run_filter, unserved, 40);
AT(kedge_run_filter, reserved, 44);
AT(kedge_run_filter, queue, 48); /* here ended the first one */
AT(kedge_run_filter, id_prefix, 64);
AT(kedge_run_filter, created_from, 80);
AT(kedge_run_filter, created_to, 88);
SIZE(kedge_run_filter, 96);
#    define CHECKED "offsets of the plug-in structures"
#else
#    define CHECKED "offsets of the plug-in structures # SKIP the tables are for 64-bit machines"
#endif

int main(void)
{
    puts("1..1\nok 1 - " CHECKED);
    return 0;
}
