/**
 * `node_modules/.bin/node test/dist/kubernetes/cluster/main.js`: a cluster in the foreground. Prints the path of a kubeconfig for its admin, and ends with
 * SIGTERM or Ctrl-C. Tokens for ServiceAccounts: `kubectl create token NAME -n NAMESPACE` (kubectl 1.24 or newer).
 * Arguments are further flags of kube-apiserver.
 */
import { once } from 'node:events';
import { Cluster } from './cluster.js';

const cluster = await Cluster.start({ flags: process.argv.slice(2) });
process.stdout.write(`KUBECONFIG=${cluster.kubeconfig}\n`);
await once(cluster.server.process, 'exit');
process.stderr.write(`kube-apiserver ended:\n${cluster.output()}\n`);
process.exitCode = 1;
await cluster.stop();
