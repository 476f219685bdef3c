// A key manager in JavaScript that speaks the `stdio:` protocol: node docs/wire/key_manager.mjs
//
// It hands out keys in rotation, within limits by minute and day, and counts calls as they are recorded.

import { createInterface } from "node:readline";

class KeyManagerError extends Error {}

class KeyManager {
  constructor(pool, now) {
    this.now = now; // () -> milliseconds since 1970
    this.limits = pool.limits;
    this.defaultModel = pool.default_model;
    this.pools = { regular: [...new Set(pool.api_keys)], vertex: [...new Set(pool.vertex_api_keys)] };
    this.turn = { regular: 0, vertex: 0 };
    this.counts = new Map(); // "pool model key" -> the counts of its minute and of its day
  }

  acquire({ model, pool }) {
    const name = this.modelOf(model);
    const keys = this.keysOf(pool);
    for (let tried = 0; tried < keys.length; tried += 1) {
      const key = keys[(this.turn[pool] + tried) % keys.length];
      if (this.isFree(pool, name, key)) {
        this.turn[pool] = (this.turn[pool] + tried + 1) % keys.length;
        return key;
      }
    }
    return ""; // nothing is free: the sentinel
  }

  record({ lease, model, pool, tokens }) {
    const name = this.modelOf(model);
    if (!Number.isInteger(tokens) || tokens < 0) throw new KeyManagerError(`tokens: ${tokens}`);
    if (!this.keysOf(pool).includes(lease.key)) return false;
    const count = this.countOf(pool, name, lease.key);
    count.rpm += 1;
    count.tpm += tokens;
    count.rpd += 1;
    return true;
  }

  usage({ key, model, pool }) {
    const name = this.modelOf(model);
    if (!this.keysOf(pool).includes(key)) return null;
    const { rpm, tpm, rpd } = this.countOf(pool, name, key);
    return { rpm, tpm, rpd };
  }

  reset_usage() {
    this.counts.clear();
    return null;
  }

  health() {
    return true;
  }

  isFree(pool, name, key) {
    const limits = this.limits[name];
    const count = this.countOf(pool, name, key);
    return ["rpm", "tpm", "rpd"].every((one) => limits[one] === null || count[one] < limits[one]);
  }

  // Windows are looked at when they are asked for: no timer, and nothing to start or to stop.
  countOf(pool, name, key) {
    const place = JSON.stringify([pool, name, key]);
    const minute = Math.floor(this.now() / 60_000);
    const day = Math.floor(this.now() / 86_400_000);
    const count = this.counts.get(place) ?? { minute, day, rpm: 0, tpm: 0, rpd: 0 };
    // A clock that is set back begins a new window, too: nobody stays locked out until it has caught up.
    if (minute !== count.minute) Object.assign(count, { minute, rpm: 0, tpm: 0 });
    if (day !== count.day) Object.assign(count, { day, rpd: 0 });
    this.counts.set(place, count);
    return count;
  }

  modelOf(model) {
    const name = model === null || model === "" ? this.defaultModel : model;
    if (typeof name !== "string" || !Object.hasOwn(this.limits, name)) throw new KeyManagerError("unknown model");
    return name;
  }

  keysOf(pool) {
    if (!Object.hasOwn(this.pools, pool)) throw new KeyManagerError("unknown pool");
    return this.pools[pool];
  }
}

const HELLO = {
  protocol: 1,
  name: "key_manager.mjs",
  version: "1.0",
  // `record` takes no `outcome`: what it cannot tell apart it does not claim. A mere list of names claims everything.
  operations: {
    acquire: ["model", "pool"],
    record: ["lease", "model", "pool", "tokens"],
    usage: ["key", "model", "pool"],
    reset_usage: [],
    health: [],
  },
  policies: { unknown_model: "reject", model_match: "exact", day_zone: "UTC" },
  clock: true,
};

let manager = null;
let time = 0;

function answer({ seq, op, ...given }) {
  if (op === "hello") return { seq, ok: HELLO };
  if (op === "clock") {
    time = Date.parse(given.now);
    return { seq, ok: null };
  }
  if (op === "open") {
    time = Date.parse(given.now);
    manager = new KeyManager(given.pool, () => time);
    return { seq, ok: null };
  }
  if (op === "close") {
    manager = null;
    return { seq, ok: null };
  }
  if (!Object.hasOwn(HELLO.operations, op)) return { seq, unsupported: true };
  try {
    return { seq, ok: manager[op](given) };
  } catch (error) {
    const typed = error instanceof KeyManagerError;
    return { seq, error: { type: error.constructor.name, message: error.message, typed } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
