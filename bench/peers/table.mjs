// table.mjs - what peers.mjs has measured, as Markdown

function median(numbers) {
	const sorted = [...numbers].sort((a, b) => a - b);
	const half = sorted.length >> 1;
	return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

function spread(numbers) {
	if (!numbers.length) return '-';
	const text = (n) => Math.round(n).toLocaleString('en-GB');
	return `${text(median(numbers))} (${text(Math.min(...numbers))} - ${text(Math.max(...numbers))})`;
}

const row = (columns) => `| ${columns.join(' | ')} |\n`;

function cellName(cell) {
	const [steps, inFlight] = cell.split('x');
	return `${steps} steps, ${inFlight} in flight`;
}

// CELLS are like '10x64'; RECORDS are the lines of the other file.
export function table({ names, cells, rounds, sliceMs, facts, records }) {
	const of = (kind, peer) => records.filter((r) => r.kind === kind && r.peer === peer);
	const rates = (peer, cell) =>
		of('cell', peer)
			.filter((r) => `${r.steps}x${r.in_flight}` === cell)
			.map((r) => r.steps_per_s);
	const times = (peer, way) =>
		of('recovery', peer)
			.filter((r) => r.way === way)
			.map((r) => r.ms);
	let text = `Durable steps per second, by steps of a run and runs in flight: median and range of ${rounds} slices, each in a round of its own, of ${sliceMs / 1000} s.\n\n`;
	text += row(['', ...cells.map(cellName)]);
	text += row(['---', ...cells.map(() => '---:')]);
	for (const peer of names) text += row([peer, ...cells.map((cell) => spread(rates(peer, cell)))]);
	text += `\nFrom kill -9 inside a step to its start in another worker process, ms: median and range of ${rounds}.\n\n`;
	text += row(['', 'one that runs already', 'one started at the kill']);
	text += row(['---', '---:', '---:']);
	for (const peer of names)
		text += row([peer, spread(times(peer, 'running')), spread(times(peer, 'fresh'))]);
	text += '\n';
	for (const [name, value] of Object.entries(facts)) text += `- ${name}: ${value}\n`;
	for (const { peer, what, message } of records.filter((r) => r.kind === 'failure'))
		text += `- FAILED: ${peer}, ${what}: ${message}\n`;
	return text;
}
