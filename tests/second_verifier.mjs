// A second verifier of bundles, written from docs/evidence.md ("What a verifier of a bundle does") alone.
//   node second_verifier.mjs --key KEY [--witness KEY]... [--approver KEY]... BUNDLE
// Exit status: 0 verified, 2 usage, 3 no key was given, 6 something is not what was written.
import { createHash, createPublicKey, verify } from "node:crypto";
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";

const need = (holds, sentence) => { if (!holds) throw new Error(sentence); };
const sha256 = (...pieces) => pieces.reduce((hash, piece) => hash.update(piece), createHash("sha256")).digest();
const MIB = 2 ** 20;

// --- 1. Files
const safe = (name) => !/[\\:\0]/.test(name) && name.split("/").every((part) => !["", ".", ".."].includes(part));
function open(folder, name) {
  need(safe(name), `${name} is not the name of a file inside the bundle`);
  let place = folder;
  for (const part of name.split("/")) {
    place = join(place, part);
    need(!lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink(), `${name} is a link or behind one`);
  }
  const file = openSync(place, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = fstatSync(file);
  const limit = name === "ledger.jsonl" ? 8192 * MIB : name.startsWith("checkpoints/") ? MIB / 16 : 256 * MIB;
  need(found.isFile() && found.size <= limit, `${name} is not a file, or too large`);
  return file;
}

function* blocks(folder, name) {
  const [file, block] = [open(folder, name), Buffer.alloc(MIB)];
  for (let count; (count = readSync(file, block)) > 0;) yield Buffer.from(block.subarray(0, count));
  closeSync(file);
}
const text = (folder, name) => new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat([...blocks(folder, name)]));
const sumOf = (folder, name) => sha256(...blocks(folder, name)).toString("hex");
function* below(folder, prefix = "") {
  for (const item of readdirSync(join(folder, prefix), { withFileTypes: true })) {
    if (item.isDirectory()) yield* below(folder, `${prefix}${item.name}/`);
    else yield prefix + item.name;
  }
}

function checkSums(folder) {
  const listed = new Set();
  for (const line of text(folder, "SHA256SUMS").split("\n").slice(0, -1)) {
    const [, sum, name] = line.match(/^([0-9a-f]{64}) {2}(.+)$/) ?? [];
    need(name && !listed.has(name), `SHA256SUMS: ${line}`);
    listed.add(name);
    need(sumOf(folder, name) === sum, `${name} is not the file that SHA256SUMS names`);
  }
  for (const name of below(folder)) {
    need(listed.has(name) || ["SHA256SUMS", "bundle.txt"].includes(name), `${name} is not listed`);
  }
  return [...listed];
}

// --- 2. Entries
function* lines(folder) {
  let rest = Buffer.alloc(0);
  for (const block of blocks(folder, "ledger.jsonl")) {
    rest = rest.length ? Buffer.concat([rest, block]) : block;
    for (let end; (end = rest.indexOf(10)) >= 0; rest = rest.subarray(end + 1)) yield rest.subarray(0, end);
    need(rest.length < 16 * MIB, "a line of ledger.jsonl is longer than an entry can be");
  }
  need(rest.length === 0, "ledger.jsonl is cut");
}

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  need(typeof value !== "number" || Number.isSafeInteger(value), `${value} is not a whole number`);
  return JSON.stringify(value);
}

const AT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
function entryOf(line, number) {
  let value;
  try {
    const written = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
    value = JSON.parse(written);
    need(canonical(value) === written, `entry ${number} is not in its canonical form`);
  } catch (error) {
    throw new Error(`entry ${number}: ${error.message}`);
  }
  need(isObject(value) && Object.keys(value).sort().join() === "at,body,kind,policy,previous,seq,v", `entry ${number} has other members`);
  need(value.v === 1 && isObject(value.body) && AT.test(value.at), `entry ${number} is not of version 1`);
  need(typeof value.kind === "string" && (value.policy === null || typeof value.policy === "string"), "kind");
  return value;
}

// --- 3. Tree
class Tree {
  size = 0;
  peaks = [];
  add(leaf) {
    for (let count = this.size; count % 2; count = Math.floor(count / 2)) leaf = sha256("\x01", this.peaks.pop(), leaf);
    this.peaks.push(leaf);
    this.size += 1;
  }
  root() {
    return this.peaks.length ? this.peaks.reduceRight((right, left) => sha256("\x01", left, right)) : sha256("");
  }
}

// --- 4 and 5. Checkpoints and signatures
function keyOf(written) {
  const [, name, id, encoded] = written.trim().match(/^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/) ?? [];
  need(name, `${written} is not a verifier key`);
  const data = Buffer.from(encoded, "base64");
  const keyId = sha256(name, "\n", data).subarray(0, 4);
  need([1, 4].includes(data[0]) && data.length === 33 && keyId.toString("hex") === id, `${written} is not a key`);
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), data.subarray(1)]);
  return { name, keyId, kind: data[0], written: written.trim(), public: createPublicKey({ key: spki, format: "der", type: "spki" }) };
}

function noteOf(written, place) {
  const end = written.lastIndexOf("\n\n");
  need(end > 0 && written.endsWith("\n"), `${place} is not a signed note`);
  const signatures = written.slice(end + 2, -1).split("\n").map((line) => {
    const [, name, encoded] = line.match(/^\u2014 (\S+) ([A-Za-z0-9+/=]+)$/) ?? [];
    need(name, `${place}: a signature line is not in its form`);
    const data = Buffer.from(encoded, "base64");
    return { name, keyId: data.subarray(0, 4), said: data.subarray(4) };
  });
  return { text: written.slice(0, end + 1), signatures, place };
}
const lineOf = (note, key) => note.signatures.find((line) => line.name === key.name && line.keyId.equals(key.keyId));
function isSigned(note, key) {
  const line = lineOf(note, key);
  if (!line) return false;
  const time = key.kind === 4 ? `cosignature/v1\ntime ${line.said.readBigUInt64BE()}\n` : "";
  const signature = key.kind === 4 ? line.said.subarray(8) : line.said;
  need(verify(null, Buffer.from(time + note.text), key.public, signature), `${note.place}: a signature does not verify`);
  return true;
}

function checkpointOf(folder, name) {
  const note = noteOf(text(folder, name), name);
  const [, size, root] = note.text.match(/^[^\n]+\n(0|[1-9]\d*)\n([A-Za-z0-9+/=]+)\n/) ?? [];
  need(root, `${name} is not a checkpoint`);
  return { ...note, size: Number(size), root, head: note.text.match(/\nhead ([0-9a-f]{64})\n/)?.[1] };
}

// --- 6. Trust
function followed(folder, names, key, told) {
  const waiting = names.filter((name) => name.startsWith("checkpoints/")).map((name) => checkpointOf(folder, name));
  waiting.sort((one, two) => two.size - one.size);
  const state = { key, next: null, signed: 0, newest: [], at: "", tree: new Tree(), hash: "0".repeat(64) };
  const lost = [];
  const isLost = (point) => lost.some(([kept, all]) => kept < point.size && point.size <= all);
  for (const line of lines(folder)) {
    const number = state.tree.size + 1;
    const entry = entryOf(line, number);
    need(entry.seq === number && entry.previous === state.hash, `entry ${number} does not follow the one before it`);
    need(entry.at.slice(0, -1) >= state.at.slice(0, -1), `entry ${number} is older than the one before it`);
    const leaf = sha256("\0", line);
    state.tree.add(leaf);
    [state.hash, state.at] = [leaf.toString("hex"), entry.at];
    if (entry.kind === "key.rotated" && entry.body.old === state.key?.written) state.next = keyOf(entry.body.new);
    if (entry.kind === "ledger.recovered") lost.push([number - 1, entry.body.lost]);
    told(entry, state.hash);
    while (waiting.length && waiting.at(-1).size <= number) hold(state, waiting.pop(), isLost);
  }
  for (const point of waiting) need(isLost(point), `entries up to ${point.size} are missing`);
  return state;
}

function hold(state, point, isLost) {
  const fits = point.root === state.tree.root().toString("base64") && [undefined, state.hash].includes(point.head);
  need(fits || isLost(point), `${point.place}: an entry was changed after it was signed`);
  if (!fits) return;
  if (state.newest[0]?.size !== point.size) state.newest = [];
  state.newest.push(point);
  if (!state.key || !isSigned(point, state.key)) return;
  state.signed = point.size;
  if (state.next) [state.key, state.next] = [state.next, null];
}

// --- 7. Binding
const LEDGER = ["ledger.jsonl", "key.txt", "key.pem", "verify.py", "VERIFY.txt"];
function checkBinding(folder, names, key) {
  const others = names.filter((name) => !LEDGER.includes(name) && !name.startsWith("checkpoints/"));
  const there = lstatSync(join(folder, "bundle.txt"), { throwIfNoEntry: false });
  if (!there) return need(!others.length, `bundle.txt is missing: nothing binds ${others}`);
  const note = noteOf(text(folder, "bundle.txt"), "bundle.txt");
  need(note.text === `luxima-retention bundle\nSHA256SUMS ${sumOf(folder, "SHA256SUMS")}\n`, "bundle.txt is about other files");
  need(isSigned(note, key), "bundle.txt is not signed by the key");
}

// --- 8. Page one
function parsedOnce(written) {
  const value = JSON.parse(written); // refuses NaN
  const open = [];
  for (const [token, , colon] of written.matchAll(/"((?:[^"\\]|\\.)*)"(\s*:)?|[{}]/g)) {
    if (token === "{") open.push(new Set());
    else if (token === "}") open.pop();
    else if (colon) {
      const name = JSON.parse(token.slice(0, -colon.length));
      need(!open.at(-1).has(name), `report.json: ${name} appears twice`);
      open.at(-1).add(name);
    }
  }
  return value;
}

const FIGURES = ["destroyed", "condemned", "missed"];
const PLAIN = ["run.refused", "run.checked", "slot.missed", "sweep.completed", "sweep.missed"];
// Microseconds, which Date does not have.
const micros = (at) => BigInt(Date.parse(`${at.slice(0, 19)}Z`)) * 1000n + BigInt((at.match(/\.(\d{6})/) ?? [0, 0])[1]);

class PageOne {
  constructor(from, to) { Object.assign(this, { from: micros(from), to: micros(to), rows: new Map(), open: new Map(), holds: new Map(), guards: [] }); }
  add({ seq, at, kind, policy, body }) {
    const now = micros(at);
    if (now >= this.to) return;
    const within = now >= this.from;
    const row = { seq, at, kind, policy, since: body.since };
    for (const name of FIGURES) row[name] = body[name] ?? 0;
    if (kind === "run.started") this.open.set(body.run_id, { row, before: { destroyed: 0, condemned: 0 } });
    if (kind === "batch" && body.state !== "intent" && this.open.has(body.run_id)) {
      const run = this.open.get(body.run_id);
      (within ? run.row : run.before).destroyed += body.items ?? 0;
      (within ? run.row : run.before).condemned += body.pending ?? 0;
    }
    if (kind === "run.completed" || kind === "run.reconciled") {
      const before = this.open.get(body.run_id)?.before ?? { destroyed: 0, condemned: 0 };
      this.open.delete(body.run_id);
      for (const name of ["destroyed", "condemned"]) row[name] -= before[name];
    }
    if (kind === "rotation") row.destroyed = body.removed?.length ?? 0;
    const rotated = kind === "rotation" && (body.rotated || body.removed?.length);
    if (within && (PLAIN.includes(kind) || ["run.completed", "run.reconciled"].includes(kind) || rotated)) this.rows.set(seq, row);
    if (kind === "hold.placed") this.holds.set(body.hold_id, { placed: at, released: null });
    if (kind === "hold.released" && this.holds.has(body.hold_id)) this.holds.get(body.hold_id).released = at;
    if (!within) return;
    for (const item of body.guards ?? []) if (!item.passed || item.override) this.guards.push(`${seq} ${item.passed ? "override" : "refused"}`);
    if (["approval", "plan.approved"].includes(kind)) this.guards.push(`${seq} approval`);
  }
  lines() {
    for (const { row } of this.open.values()) this.rows.set(row.seq, row);
    return [...this.rows.values()].filter((row) => this.cut(row));
  }
  cut(row) {
    if (!row.missed || !row.since || micros(row.since) >= this.from) return true;
    const [at, since, gaps] = [micros(row.at), micros(row.since), BigInt(row.missed)];
    const slots = Array.from({ length: row.missed }, (_, n) => since * (gaps + 1n) + (at - since) * BigInt(n + 1));
    row.missed = slots.filter((slot) => slot >= this.from * (gaps + 1n)).length;
    return row.missed > 0;
  }
}

function compare(report, page, state) {
  need(report.ledger.error === null && report.ledger.size === state.tree.size, "the report is about another ledger");
  need(report.ledger.root === state.tree.root().toString("hex"), "the report is about another ledger");
  const told = (row) => canonical([row.seq, row.kind, row.policy, row.at, ...FIGURES.map((name) => row[name] ?? 0)]);
  const same = (one, two, what) => need(one.sort().join("\n") === two.sort().join("\n"), `${what} of report.json are not those of the entries`);
  for (const row of report.runs.filter((item) => item.seq === null)) need(!row.destroyed && !row.condemned && ["never", "slot.missed"].includes(row.kind), "a run without an entry");
  const found = page.lines();
  same(report.runs.filter((row) => row.seq !== null).map(told), found.map(told), "runs");
  for (const name of FIGURES) need(report[name === "destroyed" ? "removed" : name] === report.runs.reduce((sum, row) => sum + (row[name] ?? 0), 0), `${name} is not the sum`); need(report.destroyed === report.removed - report.archived + report.archives_ended, "destroyed is not what is gone");
  const kinds = ["refused", "override", "approval"];
  same(report.guards.filter((row) => kinds.includes(row.kind)).map((row) => `${row.seq} ${row.kind}`), page.guards, "guards");
  const holds = [...page.holds].filter(([, hold]) => !hold.released || micros(hold.released) >= page.from);
  const hold = (id, one) => canonical([id, one.placed, one.released]);
  same(report.holds.map((row) => hold(row.hold_id, row)), holds.map(([id, one]) => hold(id, one)), "holds");
  const bad = found.some((row) => row.kind === "run.refused" || row.missed);
  need(report.verdict !== "compliant" || !bad, "the report says compliant");
}

// --- 9. Approvals
class Approvals {
  constructor(keys) { Object.assign(this, { keys, offers: new Map(), given: new Map(), left: new Map(), runs: new Map(), signed: 0, unknown: 0 }); }
  add({ seq, kind, policy, body }, hash) {
    if (["run.refused", "action.proposed"].includes(kind)) this.offers.set(seq, { hash, policy, body });
    if (kind === "plan.approved") this.given.set(seq, { policy, body });
    const named = ["run.started", "action.done"].includes(kind) && (body.approval ?? null) !== null;
    if (named) this.use(seq, policy, body);
    if (named && kind === "run.started") this.runs.set(body.run_id, body.approval);
    if (!["run.completed", "run.reconciled"].includes(kind) || !this.runs.has(body.run_id)) return;
    const number = this.runs.get(body.run_id);
    this.runs.delete(body.run_id);
    this.left.set(number, this.left.get(number) - (body.destroyed ?? 0) - (body.condemned ?? 0));
    need(this.left.get(number) >= 0, `entry ${seq}: more went than entry ${number} approves`);
  }
  use(seq, policy, body) {
    const given = this.given.get(body.approval);
    need(given, `entry ${seq} carries out entry ${body.approval}, which is no approval`);
    const [said, offer] = [given.body, this.offers.get(given.body.entry)];
    const fits = offer && offer.hash === said.entry_hash && offer.policy === given.policy && offer.body.digest === said.digest;
    need(fits && offer.body.target === said.target, `entry ${body.approval} approves something else than what stands there`);
    need(policy === given.policy && body.target === said.target, `entry ${seq} carries out what was not approved`);
    if (this.left.has(body.approval)) return;
    this.left.set(body.approval, offer.body.items ?? 0);
    const note = noteOf(said.note, `the approval of entry ${body.approval}`);
    const lines = ["luxima-retention approval", `entry ${said.entry} ${said.entry_hash}`, `digest ${said.digest}`, `from ${said.start}`, `until ${said.end}`];
    need(note.text === `${lines.join("\n")}\n`, `${note.place} is not about what its entry says`);
    const key = this.keys.find((one) => lineOf(note, one));
    if (key && isSigned(note, key)) this.signed += 1; else this.unknown += 1;
  }
}

function main(words) {
  const options = { key: [], witness: [], approver: [], rest: [] };
  while (words.length) (options[words[0].slice(2)] ? options[words.shift().slice(2)] : options.rest).push(words.shift());
  const [folder] = options.rest;
  if (!folder || options.key.length > 1) return 2;
  const names = checkSums(folder);
  const report = names.includes("report.json") ? parsedOnce(text(folder, "report.json")) : null;
  const page = report && new PageOne(report.from, report.to);
  const key = options.key.length ? keyOf(options.key[0]) : null;
  need((key?.kind ?? 1) === 1 && options.witness.map(keyOf).every((one) => one.kind === 4), "a key of the wrong sort");
  const approvals = new Approvals(options.approver.map(keyOf));
  need(approvals.keys.every((one) => one.kind === 1), "a key of the wrong sort");
  const state = followed(folder, names, key, (entry, hash) => { page?.add(entry); approvals.add(entry, hash); });
  if (report) compare(report, page, state);
  if (!key) return 3;
  need(state.signed > 0 && state.signed === state.tree.size, `${state.signed} of ${state.tree.size} entries are signed by the key`);
  for (const witness of options.witness.map(keyOf)) {
    const newest = state.newest.filter((point) => point.size === state.tree.size);
    need(newest.some((point) => isSigned(point, witness)), `${witness.name} did not cosign the newest checkpoint`);
  }
  checkBinding(folder, names, state.key);
  if (approvals.left.size) console.log(`approved: ${approvals.signed} by the keys given, ${approvals.unknown} by others`);
  return 0;
}

try {
  process.exitCode = main(process.argv.slice(2));
  console.log(["VERIFIED", "", "usage", "NOT VERIFIED: no key was given"][process.exitCode]);
} catch (error) {
  console.error(`NOT VERIFIED: ${error.message}`);
  process.exitCode = 6;
}
