import type { Feed, Ring } from './index.js';

export interface RevocationsOptions {
  ring: Ring;
  /** One server or several: the next is asked when one fails. Without a path /v2/revocations. */
  from: string | URL | ReadonlyArray<string | URL>;
  /** A key with the permission `revocations`, or what gives it. */
  key: string | (() => string | Promise<string>);
  /** Seconds between two heartbeats, 1 when left out. */
  every?: number;
  /** Seconds after which the data is too old to decide with, 300 when left out. */
  maxAge?: number;
  /** Seconds by which the clocks may differ, 60 when left out. */
  leeway?: number;
  /** Decide with data that is too old, instead of 503. */
  allowOld?: boolean;
  /** http:// to another machine than this, which would see the key. */
  allowHttp?: boolean;
  /** Bytes that a snapshot may have. */
  maxSize?: number;
  /** Is told of each change: `pulled`, `pull_failed`, `pull_refused`, `feed_bad`, `feed_rollback`. */
  onEvent?: (event: { event: string; text: string; from: string }) => void;
  fetch?: typeof fetch;
}

export interface RevocationsStatus {
  usable: boolean;
  /** Seconds; Infinity when there is no data. */
  age: number;
  sequence: string;
  entries: number;
  from: string;
  /** What is wrong with that server; empty: nothing. */
  error: string;
}

/** The revocation data of an edge, fetched from GET /v2/revocations. */
export class Revocations {
  constructor(options: RevocationsOptions);
  /** Keeps the data fresh until stop(). Resolves after the first round, with `usable`; never rejects. */
  start(): Promise<boolean>;
  stop(): void;
  /** Asks once, now. Resolves with `usable`; never rejects. */
  refresh(): Promise<boolean>;
  /** Before a decision where start() was not called. The middleware calls it. */
  ready(waitUntil?: (promise: Promise<unknown>) => void): Promise<void> | undefined;
  readonly feed: Feed;
  readonly usable: boolean;
  readonly age: number;
  readonly status: RevocationsStatus;
}
