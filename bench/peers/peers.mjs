// peers.mjs - the same work on several engines in turn: rounds of slices, recoveries, and their table
//
//	node peers.mjs [--quick] [--rounds N] [--fact NAME=VALUE]... --out FILE --table FILE PEER...
//
// run.sh starts it, in the directory where the packages are installed.  In each round every peer gets
// a fresh worker process and in it a slice of each cell, so that whatever else the machine does hits
// all alike; the order turns by one from round to round.  A figure is only recorded when the worker
// has read back from the engine that all its runs are completed, with all their steps.
//
// Children have their working directory below $KEDGE_SERVERS: what is left of them ends with the
// servers, however this ends.

import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { parseArgs } from 'node:util';

import { table } from './table.mjs';

const { values: options, positionals: chosen } = parseArgs({
	allowPositionals: true,
	options: {
		quick: { type: 'boolean', default: false },
		rounds: { type: 'string' },
		fact: { type: 'string', multiple: true, default: [] },
		out: { type: 'string' },
		table: { type: 'string' },
	},
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
const warmMs = options.quick ? 300 : 1000;
const sliceMs = options.quick ? 500 : 1500;
const cells = ['10x1', '100x1', '10x64', '100x64']; // steps of a run x runs in flight
const recovered = { steps: 10, at: 5 };

const here = import.meta.dirname;
const dir = `${process.env.KEDGE_SERVERS}/peers`;
const { PEERS_KEDGE, PEERS_POSTGRESQL, PEERS_REDIS } = process.env;
const database = (name) => PEERS_POSTGRESQL?.replace(/[^/]*$/, name);

// How another worker comes to a killed one's run: `running' when that happened already, or `fresh',
// started at the moment of the kill.  `patient': it waits for a lease, so that all trials wait at the
// same time, each killed at another phase of it.
const peers = {
	'kedge-lmdb': { url: () => `lmdb://${dir}/lmdb`, ways: ['running', 'fresh'] },
	'kedge-postgresql': { url: () => database('kedge'), ways: ['running', 'fresh'] },
	'kedge-redis': { url: () => PEERS_REDIS, ways: ['running', 'fresh'] },
	dbos: { url: () => database('dbos'), ways: ['fresh'] },
	openworkflow: { url: () => database('openworkflow'), ways: ['running'], patient: true },
	restate: { url: () => restateUrl, ways: ['fresh'] },
	bullmq: { url: () => PEERS_REDIS, ways: ['running'], patient: true },
	'bullmq-flow': { url: () => PEERS_REDIS, ways: ['running'], patient: true },
};
const names = chosen.length ? chosen : Object.keys(peers);
for (const name of names)
	if (!peers[name]) throw new Error(`there is no peer '${name}' (${Object.keys(peers).join(' ')})`);

const records = [];
function record(entry) {
	records.push(entry);
	appendFileSync(options.out, `${JSON.stringify(entry)}\n`);
}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// --------------------------------------------------------------------- processes

const children = new Set();
process.on('exit', () => {
	for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function launch(command, args, { env = {}, stdio = ['ignore', 'pipe', 'inherit'] } = {}) {
	const child = spawn(command, args, { cwd: dir, env: { ...process.env, ...env }, stdio });
	children.add(child);
	child.gone = new Promise((resolve, reject) => {
		child.once('error', reject);
		child.once('exit', (code, signal) => {
			children.delete(child);
			resolve({ code, signal });
		});
	});
	child.gone.catch(() => {});
	return child;
}

// A worker process of that peer, and what it says: `next(event)' is the first such line.
function worker(name, mode, ...args) {
	const { url } = peers[name];
	const rest = [mode, url(), ...args];
	const child = name.startsWith('kedge')
		? launch(PEERS_KEDGE, rest, { env: { LD_LIBRARY_PATH: path.dirname(PEERS_KEDGE) } })
		: launch(process.execPath, ['--no-deprecation', `${here}/worker.mjs`, name, ...rest]);
	const said = [];
	let wake = () => {};
	const lines = readline.createInterface({ input: child.stdout });
	lines.on('line', (line) => {
		said.push(JSON.parse(line));
		wake();
	});
	let closed = false;
	lines.on('close', () => {
		closed = true;
		wake();
	});
	child.said = said;
	child.next = async (event) => {
		for (;;) {
			const found = said.find((line) => line.event === event);
			if (found) return found;
			if (closed)
				throw new Error(
					`${name}, ${mode}: it ended without '${event}': ${JSON.stringify(await child.gone)}`,
				);
			await new Promise((resolve) => (wake = resolve));
		}
	};
	child.well = async () => {
		const { code, signal } = await child.gone;
		if (code !== 0) throw new Error(`${name}, ${mode}: it ended with ${code ?? signal}`);
		while (!closed) await new Promise((resolve) => (wake = resolve));
	};
	return child;
}

// --------------------------------------------------------------- Restate's server

let restateUrl;

async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await new Promise((resolve) => server.once('listening', resolve));
	const { port } = server.address();
	await new Promise((resolve) => server.close(resolve));
	return port;
}

function restateProgram() {
	const name = `@restatedev/restate-server-${os.platform()}-${os.arch()}/bin/restate-server`;
	return `${here}/node_modules/${name}`;
}

async function restateBegin() {
	const [ingress, admin, fabric, service] = await Promise.all([1, 2, 3, 4].map(freePort));
	const log = `${dir}/restate.log`;
	const env = {
		RESTATE_LISTEN_MODE: 'tcp',
		RESTATE_BIND_ADDRESS: `127.0.0.1:${fabric}`,
		RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
		RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
		RESTATE_ADMIN__DISABLE_WEB_UI: 'true',
		RESTATE_LOG_FILTER: 'error',
		RESTATE_DISABLE_TELEMETRY: 'true',
	};
	const config = execFileSync(restateProgram(), ['--dump-config'], {
		env: { ...process.env, ...env },
		cwd: dir,
	});
	for (const wanted of [
		/^disable-telemetry = true$/m,
		/^\[log-server\]$[^[]*^rocksdb-disable-wal-fsync = false$/m, // it flushes its log
	])
		if (!wanted.test(config)) throw new Error(`restate-server is not set to ${wanted}`);
	const output = openSync(log, 'w');
	const server = launch(restateProgram(), ['--no-logo', '--base-dir', `${dir}/restate`], {
		env,
		stdio: ['ignore', output, output],
	});
	let gone = false;
	server.gone.then(() => (gone = true));
	for (const at of [`${admin}/health`, `${ingress}/restate/health`])
		for (const until = Date.now() + 60_000; ; await sleep(50)) {
			const answer = await fetch(`http://127.0.0.1:${at}`).catch(() => undefined);
			if (answer?.ok) break;
			if (gone || Date.now() > until)
				throw new Error(`restate-server does not answer: ${readFileSync(log)}`);
		}
	restateUrl = `http://127.0.0.1:${ingress}/?admin=${admin}&service=${service}`;
}

// ---------------------------------------------------------------------- what is done

async function slices(name, round) {
	const child = worker(name, 'cells', `${name}-round${round}`, warmMs, sliceMs, ...cells);
	await child.well();
	if (child.said.length !== cells.length) throw new Error(`${name}: ${child.said.length} cells`);
	for (const { event, ...said } of child.said)
		record({
			kind: event,
			peer: name,
			round,
			...said,
			steps_per_s: (said.durable * 1e6) / said.us,
		});
}

async function recovery(name, way, trial, phaseMs) {
	const { steps, at } = recovered;
	const ns = `${name}-${way}${trial}`;
	const run = `${ns}-run`;
	const first = worker(name, 'hold', ns, run, steps, at);
	await first.next('inside');
	let second;
	if (way === 'running') {
		second = worker(name, 'take', ns, run, steps);
		await second.next('ready');
	}
	await sleep(1000 + phaseMs);
	const killed = process.hrtime.bigint();
	first.kill('SIGKILL');
	second ??= worker(name, 'take', ns, run, steps);
	const step = await second.next('step');
	if (step.step !== at)
		throw new Error(`${name}: step ${step.step} ran after the kill in step ${at}`);
	await second.next('ended');
	await second.well();
	await first.gone;
	record({ kind: 'recovery', peer: name, way, trial, ms: Number(BigInt(step.at) - killed) / 1e6 });
}

let failures = 0;
async function attempt(name, what, fn) {
	const began = Date.now();
	try {
		await fn();
		console.error(`peers: ${name}: ${what}: ${((Date.now() - began) / 1000).toFixed(1)} s`);
	} catch (error) {
		failures++;
		console.error(`peers: ${name}: ${what}: ${error.message}`);
		record({ kind: 'failure', peer: name, what, message: error.message });
	}
}

async function everything() {
	for (let round = 0; round < rounds; round++) {
		const turned = names.map((_, i) => names[(i + round) % names.length]);
		for (const name of turned) await attempt(name, `round ${round + 1}`, () => slices(name, round));
		for (const name of turned.filter((n) => !peers[n].patient))
			for (const way of peers[name].ways)
				await attempt(name, `recovery, ${way}, ${round + 1}`, () => recovery(name, way, round, 0));
	}
	const waits = names
		.filter((name) => peers[name].patient)
		.flatMap((name) =>
			peers[name].ways.flatMap((way) =>
				Array.from({ length: rounds }, (_, i) => ({ name, way, i })),
			),
		);
	await Promise.all(
		waits.map(({ name, way, i }) =>
			attempt(name, `recovery, ${way}, ${i + 1}`, () =>
				recovery(name, way, i, (i * 30_000) / rounds),
			),
		),
	);
}

// ------------------------------------------------------------------------- the whole

function versionOf(name) {
	return JSON.parse(readFileSync(`${here}/node_modules/${name}/package.json`)).version;
}
function gatherFacts() {
	const { dependencies } = JSON.parse(readFileSync(`${here}/package.json`));
	return {
		date: new Date().toISOString(),
		cpu: `${os.cpus().length} x ${os.cpus()[0].model}`,
		kernel: `${os.type()} ${os.release()}`,
		filesystem: execFileSync('stat', ['-f', '-c', '%T', dir]).toString().trim(),
		'load before': os.loadavg()[0].toFixed(2),
		node: process.version,
		...Object.fromEntries(options.fact.map((text) => /^([^=]*)=(.*)$/s.exec(text).slice(1))),
		...Object.fromEntries(Object.keys(dependencies).map((name) => [name, versionOf(name)])),
	};
}

mkdirSync(`${dir}/lmdb`, { recursive: true });
writeFileSync(options.out, '');
const facts = gatherFacts();
record({ kind: 'facts', ...facts, rounds, warm_ms: warmMs, slice_ms: sliceMs });
if (names.includes('restate')) await restateBegin();
await everything();
const text = table({ names, cells, rounds, sliceMs, facts, records });
writeFileSync(options.table, text);
process.stdout.write(text);
process.exit(failures ? 1 : 0);
