// restate.mjs - Restate: a server of its own, which calls the service in this process
//
// The URL is that of the server's ingress; its parameters `admin' and `service' are two ports more, of
// its admin interface and of the service here.  Runs are calls: what is in flight is what was called.
// The server keeps the journals of completed invocations for a day, so that they can be read.

import http2 from 'node:http2';
import * as restate from '@restatedev/restate-sdk';
import * as clients from '@restatedev/restate-sdk-clients';

// The SDK needs it, and Node has it from 22 on.
Promise.withResolvers ??= function () {
	const out = {};
	out.promise = new this((resolve, reject) => Object.assign(out, { resolve, reject }));
	return out;
};

export async function open({ url, step, ended }) {
	const ingress = new URL(url);
	const admin = `http://127.0.0.1:${ingress.searchParams.get('admin')}`;
	const port = Number(ingress.searchParams.get('service'));
	const uri = `http://127.0.0.1:${port}`;
	const invocations = new Map(); // our ids to its own

	const service = restate.service({
		name: 'steps',
		handlers: {
			run: async (ctx, { id, n }) => {
				invocations.set(id, ctx.request().id);
				for (let number = 1; number <= n; number++)
					await ctx.run(`s${number}`, () => step(id, number));
				return null;
			},
		},
	});
	const server = http2.createServer(
		restate.createEndpointHandler({
			services: [service],
			logger: ({ level }, ...message) => level === 'error' && console.error(...message),
		}),
	);
	const client = clients.connect({ url: ingress.origin }).serviceClient({ name: 'steps' });

	async function ask(path, body) {
		const response = await fetch(admin + path, {
			method: body ? 'POST' : 'GET',
			headers: { 'content-type': 'application/json', accept: 'application/json' },
			body: body && JSON.stringify(body),
		});
		if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
		return response.json();
	}
	const rows = async (query) => (await ask('/query', { query })).rows;

	return {
		ahead: () => 0,
		serve: async () => {
			if (server.listening) return;
			await new Promise((resolve, reject) =>
				server.once('error', reject).listen(port, '127.0.0.1', resolve),
			);
			const { deployments } = await ask('/deployments');
			if (!deployments.length) await ask('/deployments', { uri });
		},
		start: async (id, n) => {
			client.run({ id, n }).then(
				() => ended(id),
				(error) => {
					console.error(error);
					process.exit(1);
				},
			);
		},
		rest: async () => {},
		read: async (id) => {
			const its = invocations.get(id);
			const [run] = await rows(
				`select status, completion_result from sys_invocation where id = '${its}'`,
			);
			const journal = await rows(`select entry_json from sys_journal where id = '${its}'`);
			const names = new Map(); // of steps, by the id that joins a step and its value
			const results = new Map();
			for (const { Command, Notification } of journal.map((row) => JSON.parse(row.entry_json))) {
				if (Command?.Run) names.set(Command.Run.completion_id, Command.Run.name);
				const { Run } = Notification?.Completion ?? {};
				if (Run) results.set(Run.completion_id, JSON.parse(Buffer.from(Run.result.Success)));
			}
			return {
				completed: run?.status === 'completed' && run.completion_result === 'success',
				steps: results.size,
				values: new Map([...results].map(([id, value]) => [Number(names.get(id).slice(1)), value])),
			};
		},
		close: async () => server.close(),
	};
}
