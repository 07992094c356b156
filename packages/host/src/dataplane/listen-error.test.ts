import t from 'tap';
import { parseSocketAddress } from '@tandem/core';
import { listenError } from './listen-error.js';

function told(at: string, code: string): string {
  const cause = Object.assign(new Error('the kernel\'s words'), { code });
  const error = listenError(parseSocketAddress(at)!, cause);
  t.match(error, { code, cause });
  return error.message;
}

t.test('an address that is not to be had is named with what to do about it', (t) => {
  t.match(told('127.0.0.153:53', 'EADDRINUSE'), /^--listen 127\.0\.0\.153:53: another program holds 127\.0\.0\.153:53: find it with `ss -lntup`/);
  t.match(told('127.0.0.153:53', 'EACCES'), /CAP_NET_BIND_SERVICE/);
  t.match(told('192.0.2.1:53', 'EADDRNOTAVAIL'), /: this host has no such address; assign it/);
  t.equal(told('192.0.2.1:53', 'EIO'), '--listen 192.0.2.1:53: the kernel\'s words');
  t.end();
});

t.test('where IPv6 is switched off, the setting that does without it is named', (t) => {
  t.equal(
    told('[fd53::1]:53', 'EAFNOSUPPORT'),
    '--listen [fd53::1]:53: this host has no IPv6: give addresses of IPv4 alone, such as --listen 127.0.0.153:53 (in the configuration file: listen: "127.0.0.153:53")',
  );
  t.match(told('127.0.0.153:53', 'EAFNOSUPPORT'), /no IPv4: give addresses of IPv6 alone, such as --listen \[fd53::1\]:53/);
  t.match(told('[2001:db8::1]:53', 'EADDRNOTAVAIL'), /no such address \(or IPv6 is switched off: net\.ipv6\.conf\.all\.disable_ipv6\); assign it/);
  t.end();
});
