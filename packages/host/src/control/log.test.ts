import t from 'tap';
import { AppError } from '@tandem/core';
import { createLog, type LogOptions } from './log.js';

function logged(options: Pick<LogOptions, 'level' | 'format'>, write: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  write(createLog({ role: 'agent', ...options, destination: { write: (line: string) => { lines.push(line); } } }));
  return lines;
}

t.test('an event is one JSON object with level, time, role and fields', (t) => {
  const lines = logged({ level: 'info', format: 'json' }, (log) => {
    log.debug('not shown');
    log.info('sockets bound', { listen: ['127.0.0.1:53'] });
  });
  t.equal(lines.length, 1);
  t.match(JSON.parse(lines[0]), { level: 'info', time: /^\d{4}-.*Z$/, role: 'agent', message: 'sockets bound', listen: ['127.0.0.1:53'] });
  t.end();
});

t.test('an event is one plain line in text form, whatever the values hold', (t) => {
  const lines = logged({ level: 'debug', format: 'text' }, (log) => {
    log.warn('bad\nname', { name: 'a\n\x1b[31mb', count: 3, file: '/etc/a.yaml', error: Object.assign(new Error('x'), { code: 'LINK' }) });
  });
  t.equal(lines.length, 1);
  t.match(lines[0], /^\S+Z WARN {2}agent: bad\\x0aname name="a\\n\\u001b\[31mb" count=3 file=\/etc\/a\.yaml error=\{"code":"LINK"/);
  t.equal(lines[0].indexOf('\n'), lines[0].length - 1);
  t.end();
});

t.test('an error has its code and stack, one of several all of theirs', (t) => {
  const several = new AggregateError([new AppError('LINK', 'cut'), new TypeError('odd'), 'a text'], 'two things');
  const lines = logged({ level: 'info', format: 'json' }, (log) => { log.error('failed', { error: several }); });
  t.match(JSON.parse(lines[0]), {
    error: { message: 'two things', stack: / +at /, errors: [{ code: 'LINK', message: 'cut', stack: / +at / }, { message: 'odd', stack: /^TypeError/ }, 'a text'] },
  });
  t.end();
});

t.test('the level can be changed while it runs', (t) => {
  const lines = logged({ level: 'error', format: 'json' }, (log) => {
    log.warn('one');
    log.setLevel('debug');
    log.debug('two');
    log.flush();
  });
  t.equal(lines.length, 1);
  t.match(lines[0], 'two');
  t.end();
});
