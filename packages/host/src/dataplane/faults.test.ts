import t from 'tap';
import { AppError } from '@tandem/core';
import { layoutVersion } from 'node-reuseport';
import { readFaults } from './faults.js';

t.test('nothing is planted unless it is asked for', (t) => {
  t.strictSame(readFaults(''), { text: '', noSteal: false, crashOn: null, layout: layoutVersion, points: [] });
  t.end();
});

t.test('faults are read from a comma list', (t) => {
  t.strictSame(readFaults('no-steal,kill-at=mid-batch:7,stop-at=before-send,crash-on=Poison.example.'), {
    text: 'no-steal,kill-at=mid-batch:7,stop-at=before-send,crash-on=Poison.example.',
    noSteal: true,
    crashOn: 'poison.example.',
    layout: layoutVersion,
    points: [{ point: 'mid-batch', count: 7, signal: 'SIGKILL' }, { point: 'before-send', count: 1, signal: 'SIGSTOP' }],
  });
  t.end();
});

for (const text of ['nonsense', 'kill-at=nowhere:1', 'kill-at=mid-batch:0', 'kill-at=mid-batch:x', 'crash-on=no-dot', 'layout=0', 'layout=99']) {
  t.test(`${text} is refused by name`, (t) => {
    t.throws(() => readFaults(text), new AppError('CONFIGURATION', `TANDEM_FAULTS: ${JSON.stringify(text)} is no fault`).constructor);
    t.end();
  });
}
