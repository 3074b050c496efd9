// The revocation data's form (subtoken/revocations.h, feed.h), written from its description: a
// second implementation, for the tests.
import { createHmac } from 'node:crypto';

const HASH_KEY = Buffer.from(Array.from({ length: 16 }, (_, i) => i));
const MASK = (1n << 64n) - 1n;

function fold(a, b) {
  const product = a * b;
  return (product >> 64n) ^ (product & MASK);
}

export function hashOf(sub, key = HASH_KEY) {
  const data = Buffer.from(sub);
  const [K, L] = [key.readBigUInt64LE(0) ^ 0x243F6A8885A308D3n, key.readBigUInt64LE(8) ^ 0x13198A2E03707344n];
  let h = K;
  for (let i = 0; i < data.length - 16; i += 16) h = fold(data.readBigUInt64LE(i) ^ L, data.readBigUInt64LE(i + 8) ^ h);
  const last = data.length < 16 ? Buffer.concat([data, Buffer.alloc(16 - data.length)]) : data.subarray(data.length - 16);
  h = fold(last.readBigUInt64LE(0) ^ L, last.readBigUInt64LE(8) ^ h);
  return fold(h ^ L, BigInt(data.length) ^ K);
}

const ascending = (subs) => [...new Set(subs.map((sub) => hashOf(sub)))].sort((a, b) => (a < b ? -1 : 1));

function words(list) {
  const out = Buffer.alloc(8 * list.length);
  list.forEach((hash, i) => out.writeBigUInt64LE(hash, 8 * i));
  return out;
}

const signed = (bytes, key) => Buffer.concat([bytes, createHmac('sha256', key).update(bytes).digest()]);

export function snapshotOf({ subs, sequence, made, kid, key }) {
  const hashes = ascending(subs);
  let bits = 1;
  while (hashes.length > 8 * 2 ** bits) bits += 1;
  const head = Buffer.alloc(128);
  head.write('ST-REVOC');
  head.writeUInt32LE(1, 8);
  head[12] = bits;
  head[13] = kid.length;
  head.writeBigInt64LE(sequence, 16);
  head.writeBigInt64LE(BigInt(made), 24);
  const index = Buffer.alloc(4 * (2 ** bits + 2));
  head.writeBigInt64LE(BigInt(128 + index.length + 8 * hashes.length + 32), 32);
  head.writeUInt32LE(hashes.length, 40);
  HASH_KEY.copy(head, 48);
  head.write(kid, 64);
  let before = 0;
  for (let prefix = 0; prefix <= 2 ** bits; prefix += 1) {
    while (before < hashes.length && Number(hashes[before] >> BigInt(64 - bits)) < prefix) before += 1;
    index.writeUInt32LE(before, 4 * prefix);
  }
  return signed(Buffer.concat([head, index, words(hashes)]), key);
}

export function heartbeatOf({ snapshot, sequence, time, kid, key }) {
  const bytes = Buffer.alloc(128);
  bytes.write('ST-ALIVE');
  bytes.writeUInt32LE(1, 8);
  bytes[13] = kid.length;
  bytes.writeBigInt64LE(sequence, 16);
  bytes.writeBigInt64LE(BigInt(time), 24);
  snapshot.copy(bytes, 32, snapshot.length - 32);
  bytes.write(kid, 64);
  return signed(bytes, key).toString('base64url');
}

export function changesOf({ since, from, to, snapshot }) {
  const [old, fresh] = [ascending(from), ascending(to)];
  const gone = old.filter((hash) => !fresh.includes(hash));
  const added = fresh.filter((hash) => !old.includes(hash));
  const head = Buffer.alloc(32);
  head.write('ST-DELTA');
  head.writeUInt32LE(1, 8);
  head.writeBigInt64LE(since, 16);
  head.writeUInt32LE(gone.length, 24);
  head.writeUInt32LE(added.length, 28);
  return Buffer.concat([head, snapshot.subarray(0, 128), words(gone), words(added), snapshot.subarray(snapshot.length - 32)]);
}
