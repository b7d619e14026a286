// openworkflow.mjs - OpenWorkflow, on PostgreSQL
//
// A worker of N slots; its slots poll for runs, so there has to be one ready for each that is freed.
// A step is written twice: that it has begun, and its value.

import { OpenWorkflow } from 'openworkflow';
import { BackendPostgres } from 'openworkflow/postgres';

export async function open({ url, ns, step, ended }) {
	const backend = await BackendPostgres.connect(url, { namespaceId: ns });
	const ids = new Map(); // its own to ours
	const ours = new Map(); // ours to its own

	// The worker tells nobody that a run has ended; what it does last is this.
	const complete = backend.completeWorkflowRun.bind(backend);
	backend.completeWorkflowRun = async (params) => {
		const run = await complete(params);
		ended(run.input.id);
		return run;
	};

	const ow = new OpenWorkflow({ backend });
	const workflow = ow.defineWorkflow({ name: 'steps' }, async ({ input, step: durably }) => {
		for (let number = 1; number <= input.steps; number++)
			await durably.run({ name: `s${number}` }, () => step(input.id, number));
		return null;
	});
	let worker;

	// Of a run that another process started, the id is found by its input.
	async function idOf(id) {
		if (!ours.has(id)) {
			const { data } = await backend.listWorkflowRuns({ limit: 100 });
			for (const run of data) ours.set(run.input.id, run.id);
		}
		return ours.get(id);
	}

	return {
		ahead: (inFlight) => Math.max(2, inFlight / 4),
		serve: async (n) => {
			worker = ow.newWorker({ concurrency: n });
			await worker.start();
		},
		start: async (id, n) => {
			const handle = await workflow.run({ id, steps: n });
			ids.set(handle.workflowRun.id, id);
			ours.set(id, handle.workflowRun.id);
		},
		rest: () => worker.stop(),
		read: async (id) => {
			const workflowRunId = await idOf(id);
			const run = await backend.getWorkflowRun({ workflowRunId });
			const { data } = await backend.listStepAttempts({ workflowRunId, limit: 1000 });
			const done = data.filter((attempt) => attempt.status === 'completed');
			return {
				completed: run.status === 'completed',
				steps: done.length,
				values: new Map(done.map((attempt) => [Number(attempt.stepName.slice(1)), attempt.output])),
			};
		},
		close: () => backend.stop(),
	};
}
