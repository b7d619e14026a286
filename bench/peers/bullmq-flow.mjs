// bullmq-flow.mjs - BullMQ, on Redis: a step is a job
//
// The other way its makers describe ("step jobs with flows"): a run is a flow in which each step is the
// parent of the one before it, so that it waits for that; its value is the job's, and stays.  As jobs of
// all runs are in one queue, there are no more runs than are to be in flight.

import { FlowProducer, Job, Queue, Worker } from 'bullmq';

export async function open({ url, ns, step, ended }) {
	const { hostname, port } = new URL(url);
	const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
	const queue = new Queue(ns, { connection });
	const flows = new FlowProducer({ connection });
	const idOf = (run, number) => `${run}.${number}`;
	let worker;

	return {
		ahead: () => 0,
		serve: async (n) => {
			const process = (job) => step(job.data.run, job.data.number);
			worker = new Worker(ns, process, { connection, concurrency: n });
			worker.on('completed', ({ data }) => data.number === data.steps && ended(data.run));
			worker.on('failed', (job, error) => console.error(job?.id, error));
			worker.on('error', (error) => console.error(error));
			await worker.waitUntilReady();
		},
		start: (run, n) => {
			let flow;
			for (let number = 1; number <= n; number++)
				flow = {
					name: 'step',
					queueName: ns,
					data: { run, number, steps: n },
					opts: { jobId: idOf(run, number) },
					children: flow ? [flow] : [],
				};
			return flows.add(flow);
		},
		rest: () => worker.close(),
		read: async (run) => {
			const first = await Job.fromId(queue, idOf(run, 1));
			const numbers = Array.from({ length: first.data.steps }, (_, i) => i + 1);
			const jobs = await Promise.all(numbers.map((number) => Job.fromId(queue, idOf(run, number))));
			const done = jobs.filter((job) => job.finishedOn && !job.failedReason);
			return {
				completed: await jobs.at(-1).isCompleted(),
				steps: done.length,
				values: new Map(done.map((job) => [job.data.number, job.returnvalue])),
			};
		},
		close: async () => {
			await flows.close();
			await queue.close();
		},
	};
}
