/**
 * The test runner's reporter: a line per test file, what failed and why, what was measured, and at the very end
 * `N passed, N failed`, which .ci/run adds up.
 */
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { TapReader } from './tap-reader.js';
import type { TapEvent } from './tap-reader.js';

export default class Reporter extends Transform {
  private readonly reader = new TapReader((event) => {
    this.push(render(event));
  });
  private rest = '';

  override _transform(chunk: Buffer | string, _encoding: BufferEncoding, done: TransformCallback): void {
    const lines = (this.rest + chunk.toString()).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.reader.line(line);
    done();
  }

  override _flush(done: TransformCallback): void {
    if (this.rest !== '') this.reader.line(this.rest);
    this.reader.end();
    const { passed, failed, skipped } = this.reader.counts;
    if (skipped > 0) this.push(`${String(skipped)} skipped\n`);
    this.push(`${String(passed)} passed, ${String(failed)} failed\n`);
    done();
  }
}

function render(event: TapEvent): string {
  switch (event.kind) {
    case 'file': {
      const seconds = event.milliseconds === null ? '' : `, ${(event.milliseconds / 1000).toFixed(1)} s`;
      const { passed, failed } = event.counts;
      const sum = failed === 0 ? String(passed) : `${String(passed)} passed, ${String(failed)} FAILED`;
      return `${event.passed ? 'ok  ' : 'FAIL'} ${event.name} (${sum}${seconds})\n`;
    }
    case 'failure':
      return `\nFAIL ${event.path.join(' > ')}\n${event.details.map((line) => `     ${line}\n`).join('')}\n`;
    case 'comment':
      return `     ${event.path.at(-1) ?? ''}: ${event.text}\n`;
    case 'output':
      return `     ${event.text}\n`;
  }
}
