/**
 * A connection that stays open: `hold.js ADDRESS PORT` asks the web server again and again on one connection, and prints `alive N` with each answer;
 * at the end of the connection `closed`. Run in a pod.
 */
import { connect } from 'node:net';

const ASK_EVERY_MS = 100;
const [address, port] = process.argv.slice(2);
const socket = connect({ host: address, port: Number(port) });
let answers = 0;
socket.on('data', () => {
  answers++;
  process.stdout.write(`alive ${String(answers)}\n`);
});
socket.on('error', (error) => process.stdout.write(`error ${error.message}\n`));
socket.on('close', () => {
  process.stdout.write('closed\n');
  process.exit(0);
});
setInterval(() => socket.write('GET / HTTP/1.1\r\nHost: held\r\n\r\n'), ASK_EVERY_MS);
