// dbos.mjs - DBOS Transact, on PostgreSQL
//
// Runs are started directly, in the process that carries them on, which is its quickest way: what is
// in flight is what was started.  Its queues poll once a second.

import { DBOS } from '@dbos-inc/dbos-sdk';

export async function open({ url, step, ended }) {
	DBOS.setConfig({
		name: 'kedge-peers',
		systemDatabaseUrl: url,
		applicationVersion: 'peers', // the same for each process, so that one recovers another's runs
		executorID: 'local',
		logLevel: 'error',
		enableOTLP: false,
		tracingEnabled: false,
	});
	const workflow = DBOS.registerWorkflow(
		async (id, n) => {
			for (let number = 1; number <= n; number++)
				await DBOS.runStep(() => step(id, number), { name: `s${number}` });
			return null;
		},
		{ name: 'steps' },
	);

	return {
		ahead: () => 0,
		// Launching recovers what an earlier process of this executor left.
		serve: async () => DBOS.isInitialized() || (await DBOS.launch()),
		start: async (id, n) => {
			const handle = await DBOS.startWorkflow(workflow, { workflowID: id })(id, n);
			handle.getResult().then(
				() => ended(id),
				(error) => {
					console.error(error);
					process.exit(1);
				},
			);
		},
		rest: async () => {},
		read: async (id) => {
			const status = await DBOS.getWorkflowStatus(id);
			const steps = await DBOS.listWorkflowSteps(id);
			return {
				completed: status?.status === 'SUCCESS',
				steps: steps.length,
				values: new Map(steps.map((s) => [Number(s.name.slice(1)), s.output])),
			};
		},
		close: () => DBOS.shutdown(),
	};
}
