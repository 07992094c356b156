import t from 'tap';
import { redactJson, redactText, redactValue } from './redact.js';

const PEM = '-----BEGIN EC PRIVATE KEY-----\nplanted\nplanted\n-----END EC PRIVATE KEY-----';

t.test('what is secret by its name or its form goes, in any text', (t) => {
  const texts = [
    'password: planted', 'password = "planted and planted"', "db_passwd='planted'", 'API_TOKEN=planted', '{"client-secret": "planted", "a": 1}', '--auth-token planted', '--auth-token\nplanted',
    '--auth-token\0planted\0', '--api-key=planted', 'x-api-key: planted', 'Authorization: Bearer planted-planted', 'https://user:planted@registry.example/x', `before ${PEM} after`, 'SSH_KEY=planted',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.plantedplanted', 'psk=planted', 'pin: 1234planted',
  ];
  for (const text of texts) {
    t.notMatch(redactText(text), 'planted', text);
    t.match(redactText(text), '[redacted]', text);
  }
  t.match(redactText(`a ${PEM} b`), /^a \[redacted\] b$/);
  t.notMatch(redactText('-----BEGIN PRIVATE KEY-----\nplanted'), 'planted', 'also one that is cut off');
  t.end();
});

t.test('what is none stays as it is', (t) => {
  const texts = [
    'pair-tls-key: /etc/tandem/key.pem', '--pair-tls-key /etc/tandem/key.pem', 'TANDEM_PAIR_TLS_KEY=/etc/tandem/key.pem', 'hubble-tls-key-file: /etc/k.pem', 'tandem_queries_total{role="agent"} 12',
    'Private_Dirty:  4096 kB', 'www.shop.example. 30 IN A 192.0.2.1', 'monkey: banana', 'TcpExt: SyncookiesSent SyncookiesRecv', 'use-token: true', 'http://127.0.0.1:9964/metrics',
  ];
  for (const text of texts) t.equal(redactText(text), text);
  t.notMatch(redactText('TANDEM_PAIR_TLS_KEY=planted'), 'planted', 'a key in place of a path goes');
  t.notMatch(redactText('other-key: /planted'), 'planted', 'and a path of which nobody knows that it is one');
  t.end();
});

t.test('JSON is redacted by its structure', (t) => {
  t.strictSame(redactJson({ token: 'a', secrets: { deep: ['b', { c: 'd' }], n: 7, on: true }, keys: null, list: [{ password: 'e' }], text: `x ${PEM}`, labels: ['k8s:token=f'], taken: 5 }), {
    token: '[redacted]', secrets: { deep: ['[redacted]', { c: '[redacted]' }], n: '[redacted]', on: true }, keys: null, list: [{ password: '[redacted]' }], text: 'x [redacted]', labels: ['k8s:token=[redacted]'], taken: 5,
  });
  t.equal(redactValue('TANDEM_X_TOKEN', 'abc'), '[redacted]');
  t.equal(redactValue('TANDEM_RUN_DIR', '/run/tandem'), '/run/tandem');
  t.end();
});

t.test('a long text takes no time to speak of', (t) => {
  const startMs = performance.now();
  for (const piece of ['a', 'a=', '--a', '"', ': ', '-----BEGIN X-----', 'a.', '\\"', 'eyJabcdefgh.', 'http://a:']) redactText(piece.repeat(100_000));
  t.ok(performance.now() - startMs < 15_000);
  t.end();
});
