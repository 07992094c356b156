/** Loads the addon in a worker thread that ends while the addon names its function of number `workerData`. */
import { workerData } from 'node:worker_threads';

/** Where a thread that is ended by another one may be at that moment. */
const endsAt = workerData as number;
const dlopen = process.dlopen.bind(process);
let named = 0;

process.dlopen = (module: { exports: object }, ...rest) => {
  module.exports = new Proxy(module.exports, {
    set(target, name, value): boolean {
      if (named++ === endsAt) process.exit(1);
      return Reflect.set(target, name, value);
    },
  });
  dlopen(module, ...rest);
};

await import('../binding.js');
