// worker.mjs - a worker process of one engine: what the harness (peers.mjs) starts, and kills
//
//	node worker.mjs ENGINE cells URL NAMESPACE WARM_MS SLICE_MS STEPSxIN_FLIGHT...
//	node worker.mjs ENGINE hold URL NAMESPACE RUN STEPS AT
//	node worker.mjs ENGINE take URL NAMESPACE RUN STEPS
//
// It says what happens in lines of JSON; kedge_peer.c says the same.  A step is durable when the next
// step of its run begins, or the engine has recorded the end of the run: what is counted is the same
// for every engine, and needs nothing from it.
//
// ENGINE.mjs exports `open({ url, ns, step, ended })', which answers (all of it asynchronous)
//
//	ahead          how many runs there should be beyond those in flight; 0: it takes whatever is
//	               started at once, so that what is in flight is what was started
//	serve(n)       carry runs on from now on, N at once
//	start(id, n)   start a run of N steps; the promise is kept when it is durable
//	rest()         the end of serve(); no run is in flight
//	read(id)       from the engine's own record: { completed, steps, values: Map of number to value }
//	close()
//
// and calls `await step(id, number)' for the value of a step, and `ended(id)' when a run's end is
// recorded.

const patience = 120_000; // ms, for a slice's runs to come to their end
const valueBytes = 256;

const [engineName, mode, url, ns, ...args] = process.argv.slice(2);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => process.hrtime.bigint(); // CLOCK_MONOTONIC, as the harness has it

function value(run, step) {
	const bare = { run, step, text: '' };
	return { ...bare, text: 'x'.repeat(valueBytes - JSON.stringify(bare).length) };
}

let ran = 0;
let durable = 0;
let ends = new Set();
let changed = () => {};
let onStep = () => {};

const engine = await (
	await import(`./${engineName}.mjs`)
).open({
	url,
	ns,
	step: async (run, number) => {
		ran++;
		if (number > 1) durable++;
		await onStep(number);
		return value(run, number);
	},
	ended: (run) => {
		if (ends.has(run)) throw new Error(`${run} ended twice`);
		ends.add(run);
		durable++;
		changed();
	},
});

async function verify(run, nSteps) {
	const { completed, steps, values } = await engine.read(run);
	if (!completed) throw new Error(`${run} is not completed in the engine's record`);
	if (steps !== nSteps) throw new Error(`${run} has ${steps} steps in the engine's record`);
	if (!values.has(nSteps)) throw new Error(`${run} has no value of its last step`);
	for (const [number, is] of values) {
		const want = value(run, number);
		if (is?.run !== want.run || is.step !== want.step || is.text !== want.text)
			throw new Error(`${run}, step ${number}: not the value it gave: ${JSON.stringify(is)}`);
	}
}

// ------------------------------------------------------------------------ cells

async function cell(nSteps, inFlight, warmMs, sliceMs) {
	const started = [];
	const pending = new Set();
	const wanted = inFlight + engine.ahead(inFlight);
	let feeding = true;
	const feed = () => {
		while (feeding && started.length < ends.size + wanted) {
			const id = `${ns}-${nSteps}x${inFlight}-${started.length}`;
			started.push(id);
			const start = engine.start(id, nSteps);
			pending.add(start);
			start.then(
				() => pending.delete(start),
				(error) => {
					console.error(error);
					process.exit(1);
				},
			);
		}
	};

	ran = 0;
	ends = new Set();
	changed = feed;
	await engine.serve(inFlight);
	feed();
	await sleep(warmMs);
	const began = now();
	const before = durable;
	await sleep(sliceMs);
	const us = Number((now() - began) / 1000n);
	const counted = durable - before;

	feeding = false;
	await Promise.all(pending);
	for (const until = Date.now() + patience; ends.size < started.length; await sleep(5))
		if (Date.now() > until) throw new Error(`${ends.size} of ${started.length} runs ended`);
	await engine.rest();
	if (ran !== started.length * nSteps)
		throw new Error(`${ran} steps ran for ${started.length} runs of ${nSteps}`);
	for (let i = 0; i < started.length; i += 32)
		await Promise.all(started.slice(i, i + 32).map((id) => verify(id, nSteps)));
	say({
		event: 'cell',
		steps: nSteps,
		in_flight: inFlight,
		durable: counted,
		us,
		runs: started.length,
		verified: started.length * nSteps,
	});
}

// --------------------------------------------------------------------- recovery

async function hold(run, nSteps, at) {
	onStep = async (number) => {
		if (number !== at) return;
		say({ event: 'inside', step: number, at: `${now()}` });
		await sleep(1 << 30); // it is killed here
	};
	await engine.serve(1);
	await engine.start(run, nSteps);
	await sleep(1 << 30);
}

async function take(run, nSteps) {
	onStep = async (number) => {
		onStep = () => {};
		say({ event: 'step', step: number, at: `${now()}` });
	};
	await engine.serve(1);
	say({ event: 'ready' });
	// Who was given a run by an earlier process does not always hear of its end: ask.
	let last;
	for (const until = Date.now() + patience; ; await sleep(20)) {
		last = await engine.read(run).catch((error) => ({ error }));
		if (last.completed) break;
		if (Date.now() > until)
			throw new Error(`${run} did not end: ${last.error?.message ?? JSON.stringify(last)}`);
	}
	await verify(run, nSteps);
	say({ event: 'ended', steps: nSteps });
}

if (mode === 'cells') {
	const [warmMs, sliceMs, ...cells] = args;
	for (const text of cells) {
		const [nSteps, inFlight] = text.split('x').map(Number);
		await cell(nSteps, inFlight, Number(warmMs), Number(sliceMs));
	}
} else if (mode === 'hold') {
	await hold(args[0], Number(args[1]), Number(args[2]));
} else if (mode === 'take') {
	await take(args[0], Number(args[1]));
} else {
	throw new Error(`cells, hold or take, not ${mode}`);
}
await engine.close();
process.exit(0);
