// bullmq.mjs - BullMQ, on Redis
//
// It has jobs and no steps.  A run is a job, and a step is mapped as its documentation does it
// ("process step jobs"): what the job has done so far is in its data, and job.updateData() is awaited
// after each step.  The data keep the number of steps done and the value of the last one.

import { Job, Queue, Worker } from 'bullmq';

export async function open({ url, ns, step, ended }) {
	const { hostname, port } = new URL(url);
	// A worker's connection must not give up (its documentation).
	const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
	const queue = new Queue(ns, { connection });
	let worker;

	async function process(job) {
		for (let number = job.data.done + 1; number <= job.data.steps; number++) {
			const value = await step(job.id, number);
			await job.updateData({ ...job.data, done: number, value });
		}
		return null;
	}

	return {
		ahead: (inFlight) => Math.max(2, inFlight / 4),
		serve: async (n) => {
			worker = new Worker(ns, process, { connection, concurrency: n });
			worker.on('completed', (job) => ended(job.id));
			worker.on('failed', (job, error) => console.error(job?.id, error));
			worker.on('error', (error) => console.error(error));
			await worker.waitUntilReady();
		},
		start: (id, n) => queue.add('steps', { steps: n, done: 0, value: null }, { jobId: id }),
		rest: () => worker.close(),
		read: async (id) => {
			const job = await Job.fromId(queue, id);
			return {
				completed: await job.isCompleted(),
				steps: job.data.done,
				values: new Map([[job.data.done, job.data.value]]),
			};
		},
		close: () => queue.close(),
	};
}
