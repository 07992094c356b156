/**
 * The messages of the kernel's packet log (nfnetlink_log): the request that binds a group to a socket, and what comes then.
 *
 * Invariant: whatever the bytes, nothing outside of them is read, and nothing is thrown.
 * Shapes: linux/netlink.h, linux/netfilter/nfnetlink.h and nfnetlink_log.h. Lengths and types in the byte order of the machine, values of
 * attributes in the network's. Does not know sockets, nor what a packet says: ip-header.ts.
 */
import { endianness } from 'node:os';

const isLittleEndian = endianness() === 'LE';

const MESSAGE_HEADER_BYTES = 16;
const GENERIC_HEADER_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;
const ALIGNMENT = 4;
/** Two bits of an attribute's type that say how it is written (NLA_TYPE_MASK). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

const NLMSG_ERROR = 2;
const SUBSYSTEM_LOG = 4;
const PACKET = SUBSYSTEM_LOG << 8;
const CONFIGURE = PACKET | 1;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const AF_UNSPEC = 0;

const CONFIG = { command: 1, mode: 2, bufferBytes: 3, timeout: 4, threshold: 5, flags: 6 } as const;
const COMMAND_BIND = 1;
const COPY_PACKET = 2;
const FLAG_SEQUENCE = 1;

const ATTRIBUTE = { inputInterface: 4, outputInterface: 5, payload: 9, prefix: 10, sequence: 12 } as const;

export interface BindOptions {
  /** 1 to 65535. */
  readonly group: number;
  /** Bytes of each packet, from its IP header on. */
  readonly snapBytes: number;
  /** The kernel collects packets: at most so many, in so many bytes, for so long (a multiple of 10). */
  readonly packetsMax: number;
  readonly bytesMax: number;
  readonly delayMs: number;
}

/** One request that binds the group to the socket that sends it, acknowledged under `sequence`. */
export function bindRequest({ group, snapBytes, packetsMax, bytesMax, delayMs }: BindOptions, sequence: number): Uint8Array {
  const attributes = [
    attribute(CONFIG.command, [COMMAND_BIND]),
    attribute(CONFIG.mode, [...bytes32(snapBytes), COPY_PACKET, 0]),
    attribute(CONFIG.bufferBytes, bytes32(bytesMax)),
    attribute(CONFIG.timeout, bytes32(Math.max(1, Math.round(delayMs / 10)))),
    attribute(CONFIG.threshold, bytes32(packetsMax)),
    attribute(CONFIG.flags, [0, FLAG_SEQUENCE]),
  ];
  const total = MESSAGE_HEADER_BYTES + GENERIC_HEADER_BYTES + attributes.reduce((sum, { length }) => sum + length, 0);
  const message = new Uint8Array(total);
  const view = new DataView(message.buffer);
  view.setUint32(0, total, isLittleEndian);
  view.setUint16(4, CONFIGURE, isLittleEndian);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK, isLittleEndian);
  view.setUint32(8, sequence, isLittleEndian);
  message[MESSAGE_HEADER_BYTES] = AF_UNSPEC;
  view.setUint16(MESSAGE_HEADER_BYTES + 2, group);
  let at = MESSAGE_HEADER_BYTES + GENERIC_HEADER_BYTES;
  for (const one of attributes) {
    message.set(one, at);
    at += one.length;
  }
  return message;
}

/** What one message says of a packet. */
export interface LogMessage {
  /** '' where there is none. */
  readonly prefix: string;
  /** 0: none. */
  readonly inputInterface: number;
  readonly outputInterface: number;
  /** Counted per group; null where it was not asked for. */
  readonly sequence: number | null;
  /** From the IP header on; a view of what was received. */
  readonly payload: Uint8Array;
}

export interface Acknowledgement {
  /** Positive; 0: done. */
  readonly errno: number;
  readonly sequence: number;
}

export interface LogHandler {
  readonly onPacket: (message: LogMessage) => void;
  readonly onAcknowledged: (acknowledgement: Acknowledgement) => void;
}

/** Goes through the messages of one datagram; what makes no sense ends it. */
export function readLogMessages(datagram: Uint8Array, { onPacket, onAcknowledged }: LogHandler): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at + MESSAGE_HEADER_BYTES <= datagram.length; ) {
    const length = view.getUint32(at, isLittleEndian);
    if (length < MESSAGE_HEADER_BYTES || length > datagram.length - at) return;
    const type = view.getUint16(at + 4, isLittleEndian);
    const body = at + MESSAGE_HEADER_BYTES;
    const end = at + length;
    if (type === PACKET && body + GENERIC_HEADER_BYTES <= end) onPacket(readPacket(datagram, view, { at: body + GENERIC_HEADER_BYTES, end }));
    else if (type === NLMSG_ERROR && body + 4 <= end) onAcknowledged({ errno: -view.getInt32(body, isLittleEndian), sequence: view.getUint32(at + 8, isLittleEndian) });
    at += aligned(length);
  }
}

const NO_PAYLOAD: Uint8Array = new Uint8Array(0);

function readPacket(datagram: Uint8Array, view: DataView, range: { readonly at: number; readonly end: number }): LogMessage {
  const message = { prefix: '', inputInterface: 0, outputInterface: 0, sequence: null as number | null, payload: NO_PAYLOAD };
  for (let { at } = range; at + ATTRIBUTE_HEADER_BYTES <= range.end; ) {
    const length = view.getUint16(at, isLittleEndian);
    if (length < ATTRIBUTE_HEADER_BYTES || length > range.end - at) break;
    const value = at + ATTRIBUTE_HEADER_BYTES;
    const is32 = length === ATTRIBUTE_HEADER_BYTES + 4;
    switch (view.getUint16(at + 2, isLittleEndian) & ATTRIBUTE_TYPE_MASK) {
      case ATTRIBUTE.inputInterface:
        if (is32) message.inputInterface = view.getUint32(value);
        break;
      case ATTRIBUTE.outputInterface:
        if (is32) message.outputInterface = view.getUint32(value);
        break;
      case ATTRIBUTE.sequence:
        if (is32) message.sequence = view.getUint32(value);
        break;
      case ATTRIBUTE.prefix:
        message.prefix = textIn(datagram.subarray(value, at + length));
        break;
      case ATTRIBUTE.payload:
        message.payload = datagram.subarray(value, at + length);
        break;
    }
    at += aligned(length);
  }
  return message;
}

/** Up to the first zero. */
function textIn(bytes: Uint8Array): string {
  const zero = bytes.indexOf(0);
  return String.fromCharCode(...(zero < 0 ? bytes : bytes.subarray(0, zero)).subarray(0, PREFIX_BYTES_MAX));
}

/** NF_LOG_PREFIXLEN. */
const PREFIX_BYTES_MAX = 128;

function attribute(type: number, value: readonly number[]): Uint8Array {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = new Uint8Array(aligned(length));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, isLittleEndian);
  view.setUint16(2, type, isLittleEndian);
  bytes.set(value, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

function bytes32(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
