#!/usr/bin/env python3
"""ctypes_smoke.py - a saga written in Python, through the installed library and nothing else

    python3 ctypes_smoke.py LIBRARY URL...

On each store: a run of two steps, whose functions are here, comes to its end, and its result is
read; a step that fails makes its run fail with its message.  The headers promise what this needs:
no varargs, no bit-fields, structures that say how large they are.  Exit status 0: all of it held.
"""

import ctypes
import json
import sys
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_int, c_int64, c_size_t,
                    c_uint8, c_uint32, c_uint64, c_void_p, sizeof)

SECOND = 1000000
OK, EXISTS = 0, 2
ERR_INVALID, ERR_BACKEND = -2, -9
COMPLETED, FAILED = 5, 6
ACTION_UNDO = 3
FAIL_FINAL = 1
STORE_CREATE = 1


class Bytes(Structure):
    _fields_ = [("data", c_void_p), ("len", c_size_t)]

    def get(self):
        return ctypes.string_at(self.data, self.len) if self.len else b""


class Error(Structure):
    _fields_ = [("code", c_int), ("sys_errno", c_int), ("msg", c_char * 512)]


class StoreOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("flags", c_uint32), ("reserved", c_uint32),
                ("backend", c_char_p), ("ns", c_char_p), ("host", c_void_p)]


STEP_FN = CFUNCTYPE(c_int, c_void_p, c_void_p)


class Retry(Structure):
    _fields_ = [("attempts", c_uint32), ("backoff", c_uint32), ("base_us", c_int64),
                ("cap_us", c_int64), ("jitter_percent", c_uint32), ("reserved", c_uint32)]


class StepDef(Structure):
    _fields_ = [("name", c_char_p), ("kind", c_uint32), ("flags", c_uint32), ("run", STEP_FN),
                ("compensate", STEP_FN), ("undo", STEP_FN), ("user", c_void_p),
                ("after", POINTER(c_char_p)), ("retry", Retry), ("timeout_us", c_int64),
                ("more", c_void_p)]


class ReactorDef(Structure):
    _fields_ = [("struct_size", c_size_t), ("name", c_char_p), ("version", c_uint32),
                ("flags", c_uint32), ("steps", POINTER(StepDef)), ("n_steps", c_size_t),
                ("step_size", c_size_t), ("result", c_char_p), ("user", c_void_p)]


class View(Structure):
    _fields_ = [("struct_size", c_size_t), ("reactor", c_char_p), ("step", c_char_p),
                ("version", c_uint32), ("action", c_uint32), ("attempt", c_uint32),
                ("flags", c_uint32), ("fence", c_uint64), ("deadline_us", c_int64), ("run", Bytes),
                ("input", Bytes), ("context", Bytes), ("key", Bytes)]


class WorkerOptions(Structure):
    _fields_ = [("struct_size", c_size_t), ("flags", c_uint32), ("reserved", c_uint32),
                ("reactors", POINTER(c_void_p)), ("n_reactors", c_size_t),
                ("queues", POINTER(c_char_p)), ("label", c_char_p), ("pool_threads", c_uint32),
                ("in_flight", c_uint32), ("claim_slice", c_uint32), ("crash_limit", c_uint32),
                ("lease_ttl_us", c_int64), ("look_us", c_int64), ("sweep_us", c_int64),
                ("retention_us", c_int64), ("timeout_us", c_int64),
                ("checkpoint_min_interval_us", c_int64), ("observe", c_void_p),
                ("observe_ctx", c_void_p)]


class RunStart(Structure):
    _fields_ = [("struct_size", c_size_t), ("reactor", c_char_p), ("version", c_uint32),
                ("flags", c_uint32), ("id", Bytes), ("input", Bytes), ("context", Bytes),
                ("queue", Bytes), ("delay_us", c_int64), ("at_us", c_int64), ("timeout_us", c_int64)]


class RunInfo(Structure):
    _fields_ = [("struct_size", c_size_t), ("id", Bytes), ("reactor", Bytes), ("queue", Bytes),
                ("context", Bytes), ("version", c_uint32), ("status", c_uint32),
                ("place", c_uint32), ("recoveries", c_uint32), ("requests", c_uint32),
                ("flags", c_uint32), ("incarnation", c_uint64), ("fence", c_uint64),
                ("records", c_uint64), ("created", c_int64), ("finished", c_int64),
                ("due", c_int64), ("expires", c_int64), ("holder", c_uint8 * 16),
                ("parent", Bytes), ("result", Bytes), ("error", Bytes), ("error_step", Bytes)]


PROTOTYPES = {
    "kedge_version": (c_char_p, []),
    "kedge_status_name": (c_char_p, [c_int]),
    "kedge_store_open": (c_int, [c_char_p, POINTER(StoreOptions), POINTER(c_void_p),
                                 POINTER(Error)]),
    "kedge_store_close": (None, [c_void_p]),
    "kedge_reactor_new": (c_int, [POINTER(ReactorDef), POINTER(c_void_p), POINTER(Error)]),
    "kedge_reactor_free": (None, [c_void_p]),
    "kedge_step_view": (POINTER(View), [c_void_p]),
    "kedge_step_result": (c_int, [c_void_p, c_char_p, POINTER(Bytes), POINTER(Error)]),
    "kedge_ok": (c_int, [c_void_p, c_char_p, c_size_t]),
    "kedge_fail": (c_int, [c_void_p, c_uint32, c_char_p]),
    "kedge_worker_open": (c_int, [c_void_p, POINTER(WorkerOptions), POINTER(c_void_p),
                                  POINTER(Error)]),
    "kedge_worker_drain": (c_int, [c_void_p, c_int64, POINTER(Error)]),
    "kedge_worker_close": (None, [c_void_p, c_int64]),
    "kedge_start": (c_int, [c_void_p, POINTER(RunStart), c_int64, POINTER(Error)]),
    "kedge_run_wait": (c_int, [c_void_p, Bytes, POINTER(POINTER(RunInfo)), c_int64,
                               POINTER(Error)]),
    "kedge_run_info_free": (None, [POINTER(RunInfo)]),
}


def load(path):
    library = ctypes.CDLL(path)
    for name, (result, arguments) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def must(condition, what):
    if not condition:
        sys.exit("must be: " + what)


def done(status, err):
    must(status == OK, "no error, but: " + err.msg.decode())


def refused(status, expected, err, word):
    must(status == expected, f"status {expected}, not {status}")
    must(err.code == expected and word in err.msg.decode(), f"'{word}' in: {err.msg.decode()}")


def names(*text):
    return (c_char_p * (len(text) + 1))(*[t.encode() for t in text], None)


def borrowed(data):
    """Bytes that live as long as DATA does."""
    return Bytes(ctypes.cast(c_char_p(data), c_void_p), len(data))


class Saga:
    """Two steps, the second over the value of the first; or it fails, and the first is undone."""

    def __init__(self, kedge):
        self.kedge = kedge
        self.seen = []
        self.after = names("first")
        first = STEP_FN(self.first)
        self.steps = (StepDef * 2)(
            StepDef(name=b"first", run=first, undo=first),
            StepDef(name=b"second", run=STEP_FN(self.second), after=self.after))
        self.reactor = self.define(b"sum")

    def define(self, name, expected=OK, word=""):
        definition = ReactorDef(sizeof(ReactorDef), name, 1, 0, self.steps, len(self.steps),
                                sizeof(StepDef), None, None)
        reactor, err = c_void_p(), Error()
        status = self.kedge.kedge_reactor_new(byref(definition), byref(reactor), byref(err))
        if expected == OK:
            done(status, err)
        else:
            refused(status, expected, err, word)
        return reactor

    def look(self, step):
        view = self.kedge.kedge_step_view(step).contents
        self.seen.append((view.step.decode(), view.action))
        must(view.struct_size == sizeof(View), "a view of the size that is declared here")
        return view

    def first(self, step, _user):
        view = self.look(step)
        if view.action == ACTION_UNDO:
            return self.kedge.kedge_ok(step, None, 0)
        value = json.dumps({"n": json.loads(view.input.get())["n"] * 2}).encode()
        return self.kedge.kedge_ok(step, value, len(value))

    def second(self, step, _user):
        view, value, err = self.look(step), Bytes(), Error()
        done(self.kedge.kedge_step_result(step, b"first", byref(value), byref(err)), err)
        if json.loads(view.input.get()).get("fail"):
            return self.kedge.kedge_fail(step, FAIL_FINAL, b"no luck today")
        total = json.dumps({"sum": json.loads(value.get())["n"] + 2}).encode()
        return self.kedge.kedge_ok(step, total, len(total))


def open_store(kedge, url):
    options = StoreOptions(sizeof(StoreOptions), STORE_CREATE, 0, None, None, None)
    store, err = c_void_p(), Error()
    done(kedge.kedge_store_open(url.encode(), byref(options), byref(store), byref(err)), err)
    return store


def start(kedge, store, run, data, expected=OK):
    err = Error()
    wanted = RunStart(struct_size=sizeof(RunStart), reactor=b"sum", version=1, id=borrowed(run),
                      input=borrowed(data))
    status = kedge.kedge_start(store, byref(wanted), SECOND, byref(err))
    must(status == expected, f"kedge_start answers {expected}, not {status}: {err.msg.decode()}")


def wait(kedge, store, run):
    info, err = POINTER(RunInfo)(), Error()
    done(kedge.kedge_run_wait(store, borrowed(run), byref(info), 10 * SECOND, byref(err)), err)
    must(info.contents.struct_size == sizeof(RunInfo), "run info of the size declared here")
    found = (info.contents.status, info.contents.result.get(), info.contents.error.get(),
             info.contents.error_step.get())
    kedge.kedge_run_info_free(info)
    return found


def sagas(kedge, saga, store):
    reactors = (c_void_p * 1)(saga.reactor)
    options = WorkerOptions(struct_size=sizeof(WorkerOptions), reactors=reactors, n_reactors=1)
    worker, err = c_void_p(), Error()
    start(kedge, store, b"good", b'{"n":20}')
    start(kedge, store, b"good", b'{"n":21}', EXISTS)
    start(kedge, store, b"bad", b'{"n":1,"fail":true}')
    done(kedge.kedge_worker_open(store, byref(options), byref(worker), byref(err)), err)
    done(kedge.kedge_worker_drain(worker, 60 * SECOND, byref(err)), err)
    kedge.kedge_worker_close(worker, SECOND)
    found = wait(kedge, store, b"good")
    must(found == (COMPLETED, b'{"sum": 42}', b"", b""), f"the sum, not {found}")
    found = wait(kedge, store, b"bad")
    must(found == (FAILED, b"", b"no luck today", b"second"), f"the failure, not {found}")
    must(sorted(saga.seen) == [("first", 1), ("first", 1), ("first", ACTION_UNDO), ("second", 1),
                               ("second", 1)], f"each step once, and one undo: {saga.seen}")


def refusals(kedge, saga):
    store, err = c_void_p(), Error()
    status = kedge.kedge_store_open(b"nowhere:x", None, byref(store), byref(err))
    refused(status, ERR_BACKEND, err, "nowhere")
    must(kedge.kedge_status_name(status) == b"ERR_BACKEND" and not store.value, "the status's name")
    saga.define(b"a sum", ERR_INVALID, "byte 0x20")


def main():
    kedge = load(sys.argv[1])
    for url in sys.argv[2:]:
        saga = Saga(kedge)
        store = open_store(kedge, url)
        sagas(kedge, saga, store)
        refusals(kedge, saga)
        kedge.kedge_store_close(store)
        kedge.kedge_reactor_free(saga.reactor)
        print(url.split(":", 1)[0], kedge.kedge_version().decode())


main()
